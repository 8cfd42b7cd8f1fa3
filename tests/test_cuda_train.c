/*
 * tests/test_cuda_train.c - models that are trained on the device, against the
 * CPU and against themselves, on the emulated device (kernels/cuda/emulated.h;
 * a program without it skips).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/device.h"
#include "base/par.h"
#include "rec/model.h"
#include "tests/emulated.h"
#include "tests/rec_cases.h"

struct recipe {
    const char *model, *option[12]; /* name, value, ... */
    double near; /* of the largest weight: how far the CPU's may be */
};

static const struct recipe recipes[] = {
    {"ials", {"dim", "12", "epochs", "3"}, 1e-3},
    {"ials", {"dim", "33", "epochs", "2", "weights", "true"}, 1e-3},
    {"ials", {"dim", "13", "epochs", "3", "solver", "cholesky"}, 1e-3},
    {"bpr",
     {"dim", "9", "epochs", "2", "batch", "300", "negatives", "17"},
     1e-3},
    {"bpr",
     {"dim", "8", "epochs", "2", "loss", "bpr", "negatives", "30"},
     1e-3},
    {"bpr",
     {"dim", "8", "epochs", "2", "loss", "softmax", "temperature", ".5",
      "negatives", "9"},
     1e-3},
    {"wmf", {"dim", "11", "epochs", "2", "batch", "20", "reg", ".01"}, 1e-3},
    {"lightgcn",
     {"dim", "9", "epochs", "2", "batch", "300", "negatives", "31"},
     1e-3},
    {"lightgcn",
     {"dim", "8", "epochs", "2", "layers", "2", "loss", "bpr", "reg", "0",
      "negatives", "30"},
     1e-3},
};
#define N_RECIPES (sizeof(recipes) / sizeof(recipes[0]))

static struct rec_model *trained(const struct recipe *r,
                                 const struct rec_data *d, const char *device)
{
    const struct rec_model_ops *ops;
    struct rec_model *m;

    assert_int_equal(device_open(device), ERR_OK);
    assert_int_equal(rec_model_find(r->model, &ops), ERR_OK);
    assert_int_equal(rec_model_new(&m, ops), ERR_OK);
    for (size_t i = 0; i < 12 && r->option[i] != NULL; i += 2)
        assert_int_equal(
            opt_assign(ops->opts, m->opts, r->option[i], r->option[i + 1]),
            ERR_OK);
    m->seed = 5;
    if (rec_model_fit(m, d, NULL) != ERR_OK)
        fail_msg("%s on %s: %s", r->model, device, err_note());
    assert_int_equal(device_open("cpu"), ERR_OK);
    return m;
}

/* The largest gap between two models' weights, and the largest weight. */
static double apart(const struct rec_model *a, const struct rec_model *b,
                    double *largest)
{
    double most = 0;

    *largest = 0;
    assert_int_equal(a->n_arrays, b->n_arrays);
    for (size_t i = 0; i < a->n_arrays; i++) {
        const size_t n = (size_t)(a->array[i].rows * a->array[i].cols);
        const float *x = a->array[i].data, *y = b->array[i].data;

        /* the basis of ials turns sign by rounding: scores are compared */
        if (a->array[i].type != STO_F32 ||
            strcmp(a->array[i].name, "fold") == 0)
            continue;
        for (size_t k = 0; k < n; k++) {
            most = fmax(most, fabs((double)x[k] - (double)y[k]));
            *largest = fmax(*largest, fabs((double)x[k]));
        }
    }
    return most;
}

/* The same between scores of people 0.. and all items. */
static double scores_apart(const struct rec_model *a, const struct rec_model *b,
                           double *largest)
{
    size_t dim;
    const float *x = a->ops->item_vectors(a, &dim);
    const float *y = b->ops->item_vectors(b, &dim);
    const float *u = rec_model_array(a, "users");
    const float *v = rec_model_array(b, "users");
    double most = 0;

    *largest = 0;
    for (size_t p = 0; p < a->n_users; p++) {
        for (size_t i = 0; i < a->n_items; i++) {
            double s = 0, t = 0;

            for (size_t k = 0; k < dim; k++) {
                s += (double)u[p * dim + k] * (double)x[i * dim + k];
                t += (double)v[p * dim + k] * (double)y[i * dim + k];
            }
            most = fmax(most, fabs(s - t));
            *largest = fmax(*largest, fabs(s));
        }
    }
    return most;
}

static void devices_agree_within_rounding(void **state)
{
    struct rec_data d = case_data(90, 50, .2, true, 3);

    (void)state;
    for (size_t r = 0; r < N_RECIPES; r++) {
        struct rec_model *cpu = trained(&recipes[r], &d, "cpu");
        struct rec_model *gpu = trained(&recipes[r], &d, "cuda");
        double largest;
        const double gap = strcmp(recipes[r].model, "ials") == 0
                               ? scores_apart(cpu, gpu, &largest)
                               : apart(cpu, gpu, &largest);

        print_message("%s %zu: %.1e of %.2f\n", recipes[r].model, r, gap,
                      largest);
        assert_true(largest > 0);
        if (!(gap <= recipes[r].near * largest))
            fail_msg("%s, recipe %zu: %g apart, the largest is %g",
                     recipes[r].model, r, gap, largest);
        rec_model_free(cpu);
        rec_model_free(gpu);
    }
    rec_data_free(&d);
}

static void runs_have_equal_bits_and_leave_nothing_behind(void **state)
{
    struct rec_data d = case_data(40, 30, .25, true, 4);
    struct krn_cuda_info before, after;
    char why[KRN_CUDA_WHY];

    (void)state;
    assert_int_equal(device_open("cuda"), ERR_OK);
    assert_int_equal(device_cuda()->info(&before, why), 0);
    for (size_t r = 0; r < N_RECIPES; r++) {
        unsigned char one[KEY_DIGEST_BYTES], two[KEY_DIGEST_BYTES];

        for (int run = 0; run < 2; run++) {
            struct rec_model *m = trained(&recipes[r], &d, "cuda");

            rec_model_digest(m, run == 0 ? one : two);
            rec_model_free(m);
        }
        assert_memory_equal(one, two, sizeof(one));
    }
    assert_int_equal(device_open("cuda"), ERR_OK);
    assert_int_equal(device_cuda()->info(&after, why), 0);
    assert_int_equal(before.free_memory, after.free_memory);
    assert_int_equal(device_open("cpu"), ERR_OK);
    rec_data_free(&d);
}

/* A device without room is an error that says how much was wanted. */
static void no_room_on_the_device_is_an_error(void **state)
{
    struct rec_data d = case_data(60, 40, .3, true, 4);

    (void)state;
    setenv("RECD_EMULATED_MEMORY", "30000", 1);
    for (size_t r = 0; r < N_RECIPES; r++) {
        const struct rec_model_ops *ops;
        struct rec_model *m;

        assert_int_equal(device_open("cuda"), ERR_OK);
        assert_int_equal(rec_model_find(recipes[r].model, &ops), ERR_OK);
        assert_int_equal(rec_model_new(&m, ops), ERR_OK);
        assert_int_equal(rec_model_fit(m, &d, NULL), ERR_NOMEM);
        assert_non_null(strstr(err_note(), "are needed"));
        rec_model_free(m);
        assert_int_equal(device_open("cpu"), ERR_OK);
    }
    setenv("RECD_EMULATED_MEMORY", "1000000000", 1);
    rec_data_free(&d);
}

/* Masks of vectors have no form for the device: that is said. */
static void masks_are_refused(void **state)
{
    static const char *const names[] = {"bpr", "wmf", "lightgcn"};
    struct rec_data d = case_data(60, 40, .2, false, 4);

    (void)state;
    assert_int_equal(device_open("cuda"), ERR_OK);
    for (size_t i = 0; i < 3; i++) {
        const struct rec_model_ops *ops;
        struct rec_model *m;

        assert_int_equal(rec_model_find(names[i], &ops), ERR_OK);
        assert_int_equal(rec_model_new(&m, ops), ERR_OK);
        assert_int_equal(opt_assign(ops->opts, m->opts, "sparsity", ".5"),
                         ERR_OK);
        assert_int_equal(rec_model_fit(m, &d, NULL), ERR_ARG);
        assert_non_null(strstr(err_note(), "--device"));
        rec_model_free(m);
    }
    assert_int_equal(device_open("cpu"), ERR_OK);
    rec_data_free(&d);
}

/* What no device form has is trained on the CPU: the same bits. */
static void other_models_train_as_ever(void **state)
{
    static const struct recipe knn = {"itemknn", {NULL}, 0};
    struct rec_data d = case_data(60, 40, .2, false, 4);
    unsigned char one[KEY_DIGEST_BYTES], two[KEY_DIGEST_BYTES];
    struct rec_model *cpu = trained(&knn, &d, "cpu");
    struct rec_model *gpu = trained(&knn, &d, "cuda");

    (void)state;
    rec_model_digest(cpu, one);
    rec_model_digest(gpu, two);
    assert_memory_equal(one, two, sizeof(one));
    rec_model_free(cpu);
    rec_model_free(gpu);
    rec_data_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_agree_within_rounding),
        cmocka_unit_test(runs_have_equal_bits_and_leave_nothing_behind),
        cmocka_unit_test(no_room_on_the_device_is_an_error),
        cmocka_unit_test(masks_are_refused),
        cmocka_unit_test(other_models_train_as_ever),
    };
    if (!emulated_named())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
