/* tests/gpu_check.h - the parts of tests/gpu_check. */
#ifndef TESTS_GPU_CHECK_H
#define TESTS_GPU_CHECK_H

#include "tests/gpu.h"

void expect(bool good, const char *what);
void gpu_check_train(void); /* tests/gpu_check_train.c */
void gpu_check_small(void); /* tests/gpu_check_small.c */

#endif
