/* tests/emulated.h - the emulated device (kernels/cuda/emulated.h) for tests
 * that run in the build folder. */
#ifndef TESTS_EMULATED_H
#define TESTS_EMULATED_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Whether it was built; device_open("cuda") opens it then. */
static inline bool emulated_named(void)
{
    char folder[3000], path[4096];

    if (getcwd(folder, sizeof(folder)) == NULL)
        return false;
    (void)snprintf(path, sizeof(path), "%s/emulated-cuda.so", folder);
    if (access(path, R_OK) != 0)
        return false;
    setenv("RECD_CUDA_MODULE", path, 1);
    setenv("RECD_EMULATED_MEMORY", "1000000000", 1);
    return true;
}

#endif
