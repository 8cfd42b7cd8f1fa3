/* tests/twins.h - what the tests of twins share: sizes, and the loop over
 * instruction sets. */
#ifndef TESTS_TWINS_H
#define TESTS_TWINS_H

#include "tests/kern.h"

static const size_t sizes[] = {0,  1,  2,  3,  7,  13, 15,  16,  17,  31,
                               32, 33, 47, 48, 61, 64, 100, 127, 130, 257};
#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

typedef void each_twin(const struct krn_ops *twin);

static void for_twins(each_twin *check)
{
    const struct krn_ops **twin = kern_twins();

    if (*twin == NULL)
        skip();
    for (; *twin != NULL; twin++)
        check(*twin);
}

#define TWIN_TEST(NAME, CHECK)                                                 \
    static void NAME(void **state)                                             \
    {                                                                          \
        (void)state;                                                           \
        for_twins(CHECK);                                                      \
    }

#endif
