/* tests/test_opt.c - options from tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/opt.h"

struct bag {
    bool flag, other;
    int64_t n;
    double x;
    const char *text, *kind;
};
#define B(f) offsetof(struct bag, f)

static const struct opt rows[] = {
    {"flag", 'f', OPT_BOOL, B(flag), NULL, 0, 0, NULL, "a flag"},
    {"number", 'n', OPT_INT, B(n), "5", 1, 100, "N", "a number"},
    {"text", 't', OPT_TEXT, B(text), NULL, 0, 0, "TEXT", "a text"},
    {.name = NULL},
};
static const struct opt more[] = {
    {"real", 'x', OPT_REAL, B(x), "0.1", 0, 0, "X", "a real"},
    {"kind", 0, OPT_CHOICE, B(kind), "plain", 0, 0, "plain|fancy", "a kind"},
    {"other", 'o', OPT_BOOL, B(other), "true", 0, 0, NULL, "a flag"},
    {.name = NULL},
};

static enum err parse(struct bag *b, int argc, char **argv, int *words)
{
    const struct opt_set sets[] = {
        {rows, b, NULL}, {more, b, NULL}, {NULL, NULL, NULL}};

    opt_defaults(rows, b);
    opt_defaults(more, b);
    return opt_parse(sets, argc, argv, words);
}

static void all_forms_of_options_are_read(void **state)
{
    char *argv[] = {
        (char *)"one",        (char *)"--number=7", (char *)"-fx2.5",
        (char *)"--kind",     (char *)"fancy",      (char *)"two",
        (char *)"--no-other", (char *)"-t",         (char *)"-",
        (char *)"-",          (char *)"--",         (char *)"--flag"};
    struct bag b;
    int words = 0;

    (void)state;
    assert_int_equal(parse(&b, 12, argv, &words), ERR_OK);
    assert_true(b.flag && !b.other && b.n == 7 && b.x == 2.5);
    assert_string_equal(b.kind, "fancy");
    assert_string_equal(b.text, "-");
    assert_int_equal(words, 4);
    assert_string_equal(argv[0], "one");
    assert_string_equal(argv[1], "two");
    assert_string_equal(argv[2], "-");
    assert_string_equal(argv[3], "--flag");
}

static void defaults_are_those_of_the_table(void **state)
{
    struct bag b;
    int words = 1;

    (void)state;
    assert_int_equal(parse(&b, 0, NULL, &words), ERR_OK);
    assert_true(!b.flag && b.other && b.n == 5 && b.x == 0.1);
    assert_true(b.text == NULL && strcmp(b.kind, "plain") == 0 && words == 0);
}

static void wrong_words_are_refused_with_a_reason(void **state)
{
    static const struct {
        const char *word, *sentence;
    } bad[] = {
        {"--numbr=3", "there is no option --numbr: did you mean --number?"},
        {"--zzzzzzzzz", "there is no option --zzzzzzzzz: see --help"},
        {"--number", "--number needs a value"},
        {"-n", "-n needs a value"},
        {"-z", "there is no option -z: see --help"},
        {"--number=0", "--number: \"0\" is not a whole number from 1 to 100"},
        {"--number=3x", "--number: \"3x\" is not a whole number from 1 to 100"},
        {"--number=", "--number: \"\" is not a whole number from 1 to 100"},
        {"--number=99999999999999999999",
         "--number: \"99999999999999999999\" is not a whole number from 1 to "
         "100"},
        {"--real=nan", "--real: \"nan\" is not a number"},
        {"--real=1e999", "--real: \"1e999\" is not a number"},
        {"--kind=plai", "--kind: \"plai\" is none of plain|fancy"},
        {"--flag=maybe", "--flag: \"maybe\" is neither true nor false"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *argv[] = {(char *)bad[i].word};
        struct bag b;
        int words = 9;

        assert_int_equal(parse(&b, 1, argv, &words), ERR_ARG);
        assert_string_equal(err_note(), bad[i].sentence);
        assert_int_equal(words, 9);
    }
}

static void values_as_text_come_back_as_they_were(void **state)
{
    static const double real[] = {0.1, 1.0 / 3, 1e-300, 123456789.125, -0.0};
    struct bag b = {0};
    char text[64];

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        const double want = b.x = real[i];

        opt_value_text(&more[0], &b, text, sizeof(text));
        b.x = 7;
        assert_int_equal(opt_assign(more, &b, "real", text), ERR_OK);
        assert_memory_equal(&b.x, &want, sizeof(want));
    }
    b.x = 0.1;
    opt_value_text(&more[0], &b, text, sizeof(text));
    assert_string_equal(text, "0.1");
}

static void the_nearest_word_is_suggested_only_when_near(void **state)
{
    static const char *const list[] = {"ease", "itemknn", "lightgcn", "pop",
                                       NULL};

    (void)state;
    assert_string_equal(opt_nearest("itemkn", list), "itemknn");
    assert_string_equal(opt_nearest("lihgtgcn", list), "lightgcn");
    assert_string_equal(opt_nearest("eas", list), "ease");
    assert_null(opt_nearest("x", list));
    assert_null(opt_nearest("transformer", list));
    assert_null(opt_nearest("", list));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_forms_of_options_are_read),
        cmocka_unit_test(defaults_are_those_of_the_table),
        cmocka_unit_test(wrong_words_are_refused_with_a_reason),
        cmocka_unit_test(values_as_text_come_back_as_they_were),
        cmocka_unit_test(the_nearest_word_is_suggested_only_when_near),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
