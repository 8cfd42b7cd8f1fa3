/*
 * tests/test_conformance_bits.c - a model's digest depends on data, options
 * and seed alone: not on threads, nor on the instruction set.
 *
 * With the word --digests the program prints the digest of every model and
 * ends: the test runs itself so for each instruction set.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/par.h"
#include "rec/rank.h"
#include "tests/model_cases.h"

/* Fewer than elsewhere: everything is trained many times. */
#define FEW_USERS 80

static void bits_do_not_depend_on_threads_or_on_the_run(void **state)
{
    static const size_t threads[] = {3, 1, 2, 7};

    (void)state;
    for (int values = 0; values < 2; values++) {
        const size_t n_threads = values ? 2 : 4;
        struct rec_data d = case_data(FEW_USERS, ITEMS, 0.2, values, 2);

        EACH_MODEL(o)
        {
            struct digest first = {{0}};

            for (size_t t = 0; t < n_threads; t++) {
                par_set_threads(threads[t]);
                struct rec_model *m = model_fit(o, &d);
                const struct digest got = digest_of(m);

                if (t == 0)
                    first = got;
                assert_digest(o, &first, &got, "with other threads");
                if (values && t == 0) { /* the same handle again */
                    assert_int_equal(rec_model_fit(m, &d, NULL), ERR_OK);
                    const struct digest again = digest_of(m);

                    assert_digest(o, &first, &again, "on a second fit");
                }
                rec_model_free(m);
            }
        }
        rec_data_free(&d);
    }
    par_set_threads(0);
}

/* --- instruction sets -------------------------------------------------------
 */

static void print_digests(void)
{
    struct rec_data d = case_data(FEW_USERS, ITEMS, 0.2, true, 3);

    EACH_MODEL(o)
    {
        struct rec_model *m = model_fit(o, &d);
        const struct digest got = digest_of(m);
        uint32_t list[FEW_USERS * 10];
        char hex[2 * KEY_DIGEST_BYTES + 1];
        uint64_t sum = 0;

        assert_int_equal(
            rec_rank_users(m, &d, 0, FEW_USERS, 10, true, list, NULL), ERR_OK);
        for (size_t i = 0; i < FEW_USERS * 10; i++)
            sum = sum * 31 + list[i];
        key_hex(got.byte, sizeof(got.byte), hex);
        printf("%s %s %llx\n", o->name, hex, (unsigned long long)sum);
        rec_model_free(m);
    }
    rec_data_free(&d);
}

static void run_self(const char *isa, char *out, size_t room)
{
    char self[3000], command[4000];
    const ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    FILE *f;

    assert_true(n > 0);
    self[n] = '\0';
    (void)snprintf(command, sizeof(command), "RECD_ISA=%s '%s' --digests", isa,
                   self);
    f = popen(command, "r");
    assert_non_null(f);
    out[fread(out, 1, room - 1, f)] = '\0';
    assert_int_equal(pclose(f), 0);
}

static void bits_do_not_depend_on_the_instruction_set(void **state)
{
    static const struct {
        enum krn_isa isa;
        const char *name;
    } other[] = {{KRN_AVX2, "avx2"}, {KRN_AVX512, "avx512"}};
    static char want[16384], got[16384];

    (void)state;
    run_self("reference", want, sizeof(want));
    assert_true(strlen(want) > 64);
    for (size_t i = 0; i < 2; i++) {
        if (cpu_ops_of(other[i].isa) == NULL)
            continue;
        run_self(other[i].name, got, sizeof(got));
        assert_string_equal(got, want);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_do_not_depend_on_threads_or_on_the_run),
        cmocka_unit_test(bits_do_not_depend_on_the_instruction_set),
    };

    if (argc > 1 && strcmp(argv[1], "--digests") == 0) {
        print_digests();
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
