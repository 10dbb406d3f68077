/* ingest/modality: order of the evidence, words, codes; and two labelled collections as bars. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "ingest/csv_read.h"
#include "ingest/modality.h"
#include "ingest/sections_own.h"
#include "support/testdir.h"

static struct err e;
static bool guessed;

static void expect_words(const char *text, enum record_modality want)
{
    assert_string_equal(record_modality_names[modality_by_words(str_of(text))],
                        record_modality_names[want]);
}

static void test_whole_words(void **state)
{
    (void)state;
    expect_words("structures intact, no fracture of the tract", MOD_UNKNOWN);
    expect_words("Please call us. Mr. Smith and MR. JONES are patients", MOD_UNKNOWN);
    expect_words("US RENAL", MOD_US);
    expect_words("MR knee without contrast", MOD_MR);
    expect_words("ct chest", MOD_CT);
    expect_words("Chest X-Ray", MOD_CR);
    expect_words("CHEST PA/LAT", MOD_CR);
    expect_words("Chest, PA & lateral", MOD_CR);
    expect_words("xray", MOD_CR);
    expect_words("", MOD_UNKNOWN);
}

static void test_precedence(void **state)
{
    (void)state;
    expect_words("PET/CT skull base to thigh", MOD_PT);
    expect_words("Ultrasound-guided CT biopsy", MOD_CT);
    expect_words("CT angiography of the chest", MOD_CT);
    expect_words("MR angiogram", MOD_MR);
    expect_words("NM SPECT/CT bone scan", MOD_NM);
    expect_words("Mammogram with ultrasound", MOD_MG);
    expect_words("Chest radiograph with fluoroscopy", MOD_RF);
}

static void test_names(void **state)
{
    static const struct {
        const char *name;
        enum record_modality code;
    } names[] = {
        {"PA and lateral chest, comparison CT from the same time", MOD_CR},
        {"PA and lateral chest ___, CT chest ___", MOD_CR},
        {"MRI scout, AP and lateral", MOD_MR},
        {"CHEST 2V FRONTAL/LATERAL", MOD_CR},
        {"Chest x-XXXX", MOD_CR},
        {"chest x-___", MOD_CR},
        {"CT chest compared with PET", MOD_CT},
        {"Chest", MOD_UNKNOWN},
        {"comparison CT", MOD_UNKNOWN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (modality_by_name(str_of(names[i].name)) != names[i].code) fail_msg("%s", names[i].name);
    }
}

static void test_codes(void **state)
{
    static const struct {
        const char *code;
        enum record_modality want;
    } v[] = {
        {"71046", MOD_CR},     {"71045", MOD_CR}, {"71250", MOD_CT},       {"70553", MOD_MR},
        {"76700", MOD_US},     {"78306", MOD_NM}, {"78815", MOD_PT},       {"77067", MOD_MG},
        {"71046-26", MOD_CR},  {"74177", MOD_CT}, {"74246", MOD_RF},       {"36556", MOD_UNKNOWN},
        {"7104", MOD_UNKNOWN}, {"", MOD_UNKNOWN}, {"710461", MOD_UNKNOWN}, {"IMG12", MOD_UNKNOWN},
        {"77049", MOD_MR},     {"93970", MOD_US}, {"75625", MOD_XA},       {"77080", MOD_OT},
    };
    (void)state;
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        assert_string_equal(record_modality_names[modality_by_code(str_of(v[i].code))],
                            record_modality_names[v[i].want]);
}

static void expect(const struct modality_map *map, struct modality_input in,
                   enum record_modality code, enum record_origin origin)
{
    struct modality_answer a = modality_of(map, &in);
    assert_string_equal(record_modality_names[a.code], record_modality_names[code]);
    assert_string_equal(record_origin_names[a.origin], record_origin_names[origin]);
}

static void test_order_of_evidence(void **state)
{
    const char *csv = "Code,Modality\nIMG001,ultrasound\n71046,MRI\n";
    struct modality_map *map;
    struct modality_input in = {.column = STR("DX"),
                                .code = STR("71046"),
                                .description = STR("CT HEAD"),
                                .examination = STR("MRI brain"),
                                .text = STR("hypoechoic, echogenic")};
    const char *path;
    (void)state;
    testdir_make();
    path = testdir_path("codes.csv");
    testdir_write(path, csv, strlen(csv));
    assert_true(modality_map_open(path, &map, &e));
    expect(map, in, MOD_MR, ORIGIN_SITE);
    expect(NULL, in, MOD_CR, ORIGIN_COLUMN);
    in.column = STR("unheard of");
    expect(NULL, in, MOD_CR, ORIGIN_CODE);
    in.code = STR("X1");
    expect(map, in, MOD_CT, ORIGIN_DESCRIPTION);
    in.description = STR("head");
    in.fallback = MOD_XA;
    expect(map, in, MOD_XA, ORIGIN_SOURCE);
    in.fallback = MOD_UNKNOWN;
    expect(map, in, MOD_MR, ORIGIN_TEXT);
    in.examination = STR("brain");
    expect(map, in, MOD_US, ORIGIN_TEXT);
    in.text = STR("hypoechoic, T1, T2, echogenic"); /* a quarrel */
    expect(map, in, MOD_UNKNOWN, ORIGIN_NONE);
    in.text = STR("hypoechoic"); /* chance */
    expect(map, in, MOD_UNKNOWN, ORIGIN_NONE);
    modality_map_close(map);
    testdir_write(path, "code,modality\nA,none such\n", 26);
    assert_false(modality_map_open(path, &map, &e));
    assert_non_null(strstr(e.text, "line 2"));
    err_clear(&e);
    testdir_remove();
    assert_int_equal(mem_live_blocks(), 0);
}

static void test_synonyms(void **state)
{
    (void)state;
    assert_int_equal(record_modality_of(STR("dx")), MOD_CR);
    assert_int_equal(record_modality_of(STR(" PT/CT ")), MOD_PT);
    assert_int_equal(record_modality_of(STR("Ultrasound")), MOD_US);
    assert_int_equal(record_modality_of(STR("MRI")), MOD_MR);
    assert_int_equal(record_modality_of(STR("chest")), -1);
}

/* ---- labelled collections */
static struct str member(const json_t *j, const char *key)
{
    struct str s = {"", 0};
    struct err ignored = {0};
    (void)!json_get_str(j, key, &s, &ignored);
    return s;
}

static struct str of_span(struct str text, struct record_span s)
{
    return (struct str){text.p + s.offset, s.length};
}

/* Every line of packed JSON lines; the test is skipped where the file is absent. */
static void each_line(const char *name, void (*fn)(const json_t *row, void *ctx), void *ctx)
{
    const char *path = testdir_shared(name);
    struct str all, line;
    size_t n;
    char *p;
    if (!path) skip();
    p = testdir_gunzip(path, &n);
    all = (struct str){p, n};
    while (str_split(&all, '\n', &line)) {
        json_t *row;
        if (line.n == 0) continue;
        assert_true(json_parse(line, name, &row, &e));
        fn(row, ctx);
        json_decref(row);
    }
    free(p);
}

/* What is right, and what is wrong rather than abstained. */
struct score {
    size_t n, right, wrong;
};

static void put_score(struct score *s, enum record_modality got, struct str want)
{
    bool right = str_eqz(want, record_modality_names[got]);
    s->n++;
    s->right += right;
    s->wrong += !right && got != MOD_UNKNOWN;
}

struct mtsamples {
    struct section_list list;
    struct score all, by_text;
};

static void read_mtsample(const json_t *j, void *ctx)
{
    struct mtsamples *x = ctx;
    struct record_span s[SEC_COUNT];
    struct str text = member(j, "text");
    assert_true(sections_own(NULL, text, &x->list, s, &guessed, &e));
    struct modality_input in = {
        .description = member(j, "description"),
        .examination = of_span(text, s[SEC_EXAMINATION]),
        .technique = of_span(text, s[SEC_TECHNIQUE]),
        .head = str_sub(text, 0, modality_head(text, s)),
        .text = text,
    };
    if (!str_eqz(member(j, "kind"), "report")) return;
    put_score(&x->all, modality_of(NULL, &in).code, member(j, "modality"));
    in.description = STR("");
    put_score(&x->by_text, modality_of(NULL, &in).code, member(j, "modality"));
}

static void test_mtsamples(void **state)
{
    struct mtsamples x = {0};
    (void)state;
    each_line("data/mtsamples/radiology.jsonl.gz", read_mtsample, &x);
    print_message("mtsamples: %zu of %zu reports right, by text alone %zu\n", x.all.right, x.all.n,
                  x.by_text.right);
    assert_int_equal(x.all.n, 149);
    assert_true(x.all.right * 100 > x.all.n * 95);     /* 143; abstentions are wrong */
    assert_true(x.by_text.right * 100 > x.all.n * 90); /* 135 */
    section_list_free(&x.list);
}

static bool fill(void *ctx, char *buf, size_t cap, size_t *got, struct err *err)
{
    struct str *rest = ctx;
    (void)err;
    *got = rest->n < cap ? rest->n : cap;
    memcpy(buf, rest->p, *got);
    *rest = str_sub(*rest, *got, rest->n);
    return true;
}

/* Chest films whose column `image` is what radiologists dictated, marks and typing errors included.
 */
static void test_openi(void **state)
{
    const char *path = testdir_shared("data/openi/indiana_reports.csv.gz");
    struct csv_limits limits = {1 << 20, 100};
    size_t n, image, count[MOD_COUNT] = {0}, rows = 0;
    struct csv_reader *csv;
    struct csv_row row;
    bool more;
    char *p;
    (void)state;
    if (!path) skip();
    p = testdir_gunzip(path, &n);
    struct str text = {p, n};
    assert_true(csv_reader_open(fill, &text, &limits, &csv, &e));
    const struct str *header = csv_reader_header(csv, &n);
    image = csv_column(header, n, STR("image"));
    for (; csv_reader_next(csv, &row, &more, &e) && more; rows++)
        count[modality_by_name(row.cells[image])]++;
    csv_reader_close(csv);
    print_message("openi: %zu of %zu CR\n", count[MOD_CR], rows);
    assert_int_equal(rows, 3072);
    assert_true(count[MOD_CR] >= 3070);
    assert_int_equal(count[MOD_CT], 0);
    free(p);
}

struct captions {
    struct score field, caption;
};

static void read_caption(const json_t *j, void *ctx)
{
    struct captions *x = ctx;
    const json_t *d = json_object_get(j, "Description");
    struct str want = str_eqz(member(j, "Type"), "CT") ? STR("CT") : STR("MR");
    struct modality_input in = {.head = member(d, "Caption"), .text = member(d, "Caption")};
    put_score(&x->field, modality_by_name(member(d, "Modality")), want);
    put_score(&x->caption, modality_of(NULL, &in).code, want);
}

/* Captions of CT and MR images: by the words of their modality field ("CT w/contrast (IV)"), and by
 * the caption alone, half of which name no modality. */
static void test_medpix_captions(void **state)
{
    struct captions x = {0};
    (void)state;
    each_line("data/medpix2/descriptions.jsonl.gz", read_caption, &x);
    print_message("medpix2: %zu captions, %zu right %zu wrong by field, %zu and %zu by caption\n",
                  x.field.n, x.field.right, x.field.wrong, x.caption.right, x.caption.wrong);
    assert_int_equal(x.field.n, 1727);
    assert_true(x.field.right * 100 >= x.field.n * 99); /* 1,720 */
    assert_int_equal(x.field.wrong, 0);
    assert_true(x.caption.right > 900 && x.caption.wrong < 30); /* 914, 23 */
}

static void read_case(const json_t *j, void *ctx)
{
    static char text[1 << 16];
    const json_t *c = json_object_get(j, "Case");
    bool ct = json_array_size(json_object_get(j, "TAC")) > 0;
    bool mr = json_array_size(json_object_get(j, "MRI")) > 0;
    int n = snprintf(text, sizeof text, "%.*s\n%.*s\n", STR_ARG(member(c, "History")),
                     STR_ARG(member(c, "Findings")));
    struct modality_input in = {.examination = member(c, "Exam"), .text = {text, (size_t)n}};
    assert_true(n > 0 && (size_t)n < sizeof text);
    if (ct != mr) put_score(ctx, modality_of(NULL, &in).code, ct ? STR("CT") : STR("MR"));
}

/* Cases with images of one kind only, by history, exam and findings. Most findings name no modality,
 * and the rules do not guess. */
static void test_medpix_cases(void **state)
{
    struct score score = {0};
    (void)state;
    each_line("data/medpix2/cases.jsonl.gz", read_case, &score);
    print_message("medpix2: %zu cases of one kind, %zu right %zu wrong\n", score.n, score.right,
                  score.wrong);
    assert_int_equal(score.n, 476);
    assert_true(score.right > 80 && score.wrong < 30); /* 87, 24 */
}

struct truth {
    struct score all, cr;
};

static void read_truth(const json_t *j, void *ctx)
{
    struct truth *x = ctx;
    struct str want = member(j, "modality");
    struct modality_input in = {
        .description = member(j, "exam"),
        .technique = member(j, "technique"),
        .text = member(j, "findings"),
    };
    enum record_modality got = modality_of(NULL, &in).code;
    put_score(&x->all, got, want);
    if (str_eqz(want, "CR")) put_score(&x->cr, got, want);
}

/* Without the modality column. */
static void test_truth_table(void **state)
{
    struct truth x = {0};
    (void)state;
    each_line("data/institutional-like/truth.jsonl.gz", read_truth, &x);
    print_message("truth table: CR %zu of %zu, all %zu of %zu\n", x.cr.right, x.cr.n, x.all.right,
                  x.all.n);
    assert_int_equal(x.cr.n, 563);
    assert_int_equal(x.cr.right, 563);
    assert_true(x.all.right * 100 > x.all.n * 99);
}

/* "word|word": what inspect shows as the reason of a label. */
static void expect_marks(const char *text, struct record_span examination,
                         struct record_span technique, enum record_modality code, const char *want)
{
    struct record r = {.text = str_of(text), .modality = (uint8_t)code, .origin = ORIGIN_TEXT};
    struct record_span marks[8];
    char got[200] = "";
    size_t n;

    r.section[SEC_EXAMINATION] = examination;
    r.section[SEC_TECHNIQUE] = technique;
    n = modality_marks(&r, marks, 8);
    for (size_t i = 0; i < n; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%.*s", i ? "|" : "",
                 (int)marks[i].length, text + marks[i].offset);
    assert_string_equal(got, want);
}

static void test_marks(void **state)
{
    const struct record_span none = {0, 0};
    (void)state;
    expect_marks("MRI OF THE KNEE, compared with CT", (struct record_span){0, 33}, none, MOD_MR,
                 "MRI");
    expect_marks("Exam: knee. Axial CT images, CT of", none, (struct record_span){12, 22}, MOD_CT,
                 "CT|CT");
    expect_marks("PET CT of the chest", none, none, MOD_PT, "PET CT");
    expect_marks("CHEST, PA AND LATERAL", (struct record_span){0, 21}, none, MOD_CR,
                 "PA AND LATERAL");
    expect_marks("Seen: T2 weighted, T1 weighted.", none, none, MOD_MR, "T2 weighted|T1 weighted");
    struct record told = {.text = STR("CT"), .modality = MOD_CT, .origin = ORIGIN_COLUMN};
    struct record_span marks[8];
    assert_int_equal(modality_marks(&told, marks, 8), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_whole_words),
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_order_of_evidence),
        cmocka_unit_test(test_synonyms),
        cmocka_unit_test(test_mtsamples),
        cmocka_unit_test(test_medpix_captions),
        cmocka_unit_test(test_medpix_cases),
        cmocka_unit_test(test_truth_table),
        cmocka_unit_test(test_openi),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
