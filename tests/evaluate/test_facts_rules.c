/* Each rule of the fact check on sentences made up for it; bad lexicons; no memory; limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "evaluate/facts_kit.h"
#include "support/testdir.h"

struct row {
    const char *want, *generated, *reference;
};

static const char *kinds_of(const struct facts_result *r)
{
    static char text[256];
    text[0] = 0;
    for (int k = 0; k < FACTS_KINDS; k++)
        if (r->by_kind[k])
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", *text ? " " : "",
                     facts_kind_names[k]);
    return text;
}

static void expect(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct facts_result r = check(rows[i].generated, rows[i].reference, "");
        if (strcmp(kinds_of(&r), rows[i].want) != 0)
            fail_msg("row %zu: \"%s\", not \"%s\" (%s | %s)", i, kinds_of(&r), rows[i].want,
                     rows[i].generated, rows[i].reference);
    }
}
#define EXPECT(...)                                                                                \
    do {                                                                                           \
        static const struct row rows[] = {__VA_ARGS__};                                            \
        expect(rows, sizeof rows / sizeof *rows);                                                  \
    } while (0)

static void negation_scope(void **state)
{
    (void)state;
    EXPECT({"", "No consolidation, effusion or pneumothorax.",
            "No consolidation. No effusion. No pneumothorax."},
           {"negation", "No consolidation, effusion or pneumothorax.",
            "No consolidation. Pleural effusion. No pneumothorax."},
           {"", "No pneumothorax but there is an effusion.", "Effusion. No pneumothorax."},
           {"", "No pneumothorax; effusion.", "Effusion. No pneumothorax."},
           {"", "No pneumothorax, stable cardiomegaly.", "Stable cardiomegaly. No pneumothorax."},
           {"", "Pneumothorax is not seen.", "No pneumothorax."},
           {"", "Effusion or pneumothorax is not identified.", "No effusion or pneumothorax."},
           {"", "The lungs are free of consolidation.", "No consolidation."},
           {"", "Negative for fracture.", "There is no evidence of fracture."},
           {"negation", "Fracture.", "Without fracture."},
           {"negation", "The fracture is seen.", "The fracture is not seen."},
           {"", "The heart is not enlarged.", "No cardiomegaly."},
           {"", "Neither effusion nor pneumothorax.", "No pneumothorax. No effusion."},
           /* a comma before a degree ends the scope, unless "or" says that the list goes on */
           {"", "No consolidation, small effusion, or pneumothorax.",
            "No consolidation. No effusion. No pneumothorax."},
           {"", "No consolidation, small effusion OR pneumothorax.",
            "No consolidation. No effusion. No pneumothorax."},
           {"negation", "No consolidation, small effusion.", "No consolidation. No effusion."},
           {"negation", "No consolidation, small effusion of the right lung.",
            "No consolidation. No effusion."});
}

static void no_negation(void **state)
{
    (void)state;
    EXPECT({"", "No change in the right pleural effusion.", "Right pleural effusion, unchanged."},
           {"", "Without significant change in the effusion.", "Stable effusion."},
           {"", "Not only effusion.", "Effusion."},
           {"", "Pneumonia cannot be excluded.", "Possible pneumonia."},
           {"", "Cannot exclude pneumonia.", "Pneumonia is possible."},
           {"negation", "No pneumonia.", "Cannot exclude pneumonia."},
           {"", "CT without contrast shows a renal mass.", "Renal mass."},
           {"", "No other lung mass. Right lung mass.", "Right lung mass."});
}

/* What is asked, not judged, or was before is no statement. */
static void moot(void **state)
{
    (void)state;
    EXPECT({"", "Clear lungs. Evaluate for pneumonia.", "Clear lungs."},
           {"", "History of lung cancer. Clear lungs.", "Clear lungs."},
           {"", "Clear lungs, although fractures might be missed.", "Clear lungs."},
           {"", "Poor exposure limits evaluation for nodules. Clear lungs.", "Clear lungs."});
}

static void normal_statements(void **state)
{
    (void)state;
    EXPECT({"", "Heart size is normal.", "No cardiomegaly."},
           {"", "Normal heart and mediastinum.", "Cardiomediastinal silhouette is unremarkable."},
           {"negation", "The heart is enlarged.", "The heart is normal in size."},
           {"added", "Lungs are clear. Right lung nodule.", "Lungs are clear."},
           {"missing", "The liver is normal.", "Hepatic mass."});
    struct facts_result r = check("The liver is normal.", "Hepatic mass.", "");
    assert_int_equal(r.nflags, 1);
    assert_int_equal(r.flags[0].generated.to, 19); /* what the text says instead */
}

static void sides(void **state)
{
    (void)state;
    EXPECT({"laterality", "Left hydronephrosis.", "Right hydronephrosis."},
           {"laterality", "Right effusion.", "Bilateral effusions."},
           {"", "Right effusion. Left effusion.", "Bilateral effusions."},
           {"", "Right and left pleural effusions.", "Bilateral pleural effusions."},
           {"", "Effusions in both lungs.", "Bilateral effusions."},
           {"", "Left effusion and atelectasis.", "Left effusion. Left atelectasis."},
           {"laterality", "Right lower lobe atelectasis and left effusion.",
            "Left lower lobe atelectasis and right effusion."},
           {"", "Hydronephrosis of the left kidney.", "Left hydronephrosis."},
           {"laterality", "RLL pneumonia.", "LLL pneumonia."},
           {"laterality", "Left ankle is normal.", "Right ankle is normal."});
}

static void zones_and_levels(void **state)
{
    (void)state;
    EXPECT({"level", "Right upper lobe mass.", "Right lower lobe mass."},
           {"", "Right basilar opacity.", "Opacity at the right lung base."},
           {"number", "Disc herniation at L4-L5.", "Disc herniation at L5-S1."},
           {"", "Disc herniation at L4-5.", "Disc herniation at L4-L5."},
           {"number", "Fracture of the right seventh rib.", "Fracture of the right sixth rib."},
           {"", "Fracture of the right 7th rib.", "Fracture of the right seventh rib."},
           {"number", "Three renal stones.", "Two renal stones."},
           {"", "T2 hyperintense lesion.", "T2-weighted hyperintense lesion."},
           {"number", "Metastasis in C5.", "Metastasis in C6."},
           /* neighbours whose codes lie beside each other */
           {"number", "Fracture of C7.", "Fracture of T1."},
           {"number", "Fracture of T12.", "Fracture of L1."},
           {"number", "Fracture of L5.", "Fracture of S1."},
           {"number", "Fracture of S5.", "Fracture of the first rib."},
           {"level", "The tip is in the upper SVC.", "The tip is in the lower SVC."},
           {"number", "The gradient is 33.", "The gradient is 34."});
}

/* How many findings a text states: what says again what was said is none, whichever comes first;
 * another side, zone, level or part is another finding. Each weighs its own, missing and added. */
static void findings_are_counted_once(void **state)
{
    static const struct {
        unsigned n;
        double weight; /* of them all: urgent 1, actionable 1/2 */
        const char *text;
    } rows[] = {
        {1, 1, "Fracture of L1."},
        {1, 1, "Fracture of L1. Fracture of L1."},
        {1, 1, "Fracture of L1. The fracture is seen."},
        {1, 1, "There is a fracture. Fracture of L1."},
        {2, 2, "Fracture of L1. Fracture of L3."},
        {2, 2, "Fracture of L1. Fracture of L3. Fracture of L1."},
        {3, 3, "Fracture of L1. Fracture of L3. Fracture of L5."},
        {2, 1, "Disc herniation at L3-L4. Disc herniation at L4-L5."}, /* they share a vertebra */
        {1, 0.5, "Right effusion. Right effusion."},
        {2, 1, "Right effusion. Left effusion."},
        {1, 0.5, "Bilateral effusions. Left effusion."},
        {2, 2, "Right upper lobe mass. Right lower lobe mass."},
        {1, 1, "Right upper lobe mass. Right lung mass."},
        {2, 2, "Hematoma in the liver. Hematoma in the spleen."},
        {1, 1, "Hematoma in the liver. Hepatic hematoma."},
        {1, 0.5, "No effusion. Effusion."},
        {2, 1, "Nodule. Effusion."},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct facts_result miss = check("Stable.", rows[i].text, "");
        struct facts_result more = check(rows[i].text, "Stable.", "");
        if (miss.by_kind[FACTS_MISSING] != rows[i].n || more.by_kind[FACTS_ADDED] != rows[i].n)
            fail_msg("%u missing, %u added: %s", miss.by_kind[FACTS_MISSING],
                     more.by_kind[FACTS_ADDED], rows[i].text);
        if (miss.missing != rows[i].weight || more.wrong != rows[i].weight)
            fail_msg("weights %g and %g: %s", miss.missing, more.wrong, rows[i].text);
    }
}

/* One of two findings is stated: it earns its weight once, the other one is missing, or added, and
 * its place is shown. What is only said again neither earns nor costs. */
static void one_of_two_levels(void **state)
{
    static const struct {
        double weight;
        unsigned n;
        const char *one, *two;
    } rows[] = {
        {1, 1, "Fracture of L1.", "Fracture of L1. Fracture of L3."},
        {0.5, 1, "Disc herniation at L3-L4.",
         "Disc herniation at L3-L4. Disc herniation at L4-L5."},
        {1, 0, "Fracture of L1.", "Fracture of L1. Fracture of L1."},
        {1, 0, "Fracture of L1.", "Fracture of L1. The fracture is seen."},
        {1, 0, "Fracture of L1 and L3.", "Fracture of L1. Fracture of L3."},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned n = rows[i].n;
        double all = rows[i].weight * (i == 4 ? 2 : 1);
        struct facts_result less = check(rows[i].one, rows[i].two, "");
        struct facts_result more = check(rows[i].two, rows[i].one, "");
        if (less.by_kind[FACTS_MISSING] != n || less.missing != n * rows[i].weight ||
            less.correct != all)
            fail_msg("row %zu: %u missing of weight %g, %g correct", i, less.by_kind[FACTS_MISSING],
                     less.missing, less.correct);
        if (more.by_kind[FACTS_ADDED] != n || more.wrong != n * rows[i].weight ||
            more.correct != rows[i].weight)
            fail_msg("row %zu: %u added of weight %g, %g correct", i, more.by_kind[FACTS_ADDED],
                     more.wrong, more.correct);
        for (size_t k = 0; k < less.nflags; k++)
            assert_true(less.flags[k].reference.from >= strlen(rows[i].one));
    }
}

static void sizes(void **state)
{
    (void)state;
    EXPECT({"", "A 1.5 cm nodule.", "A 15 mm nodule."}, {"", "A 1.5cm nodule.", "A 15mm nodule."},
           {"measurement", "A 1.5 cm nodule.", "A 2.5 cm nodule."},
           {"", "A mass of 1.2 x 3 cm.", "A mass of 12 x 30 mm."},
           {"measurement", "A mass of 1.2 x 3 cm.", "A mass of 1.2 x 5 cm."},
           {"", "Nodules of 3 to 4 mm.", "Nodules of 0.3 to 0.4 cm."},
           {"", "An 8 millimeter stone.", "A 0.8 centimeter stone."},
           {"measurement", "Volume of 40 ml.", "Volume of 90 ml."},
           {"", "A 1,200 ml effusion.", "A 1.2 liter effusion."},
           {"", "RENAL CYST, 6.5 BY 5CM.", "Renal cyst, 6.5 by 5cm."});
}

static void severity_and_time(void **state)
{
    (void)state;
    EXPECT(
        {"severity", "Large effusion.", "Small effusion."},
        {"", "Mild to moderate stenosis.", "Moderate stenosis."},
        {"severity", "Severe canal stenosis at L4-L5.", "Minimal canal stenosis at L4-L5."},
        {"temporal", "New infarct.", "Old infarct."},
        {"temporal", "The nodule has increased.", "The nodule is unchanged."},
        {"", "Unchanged nodule.", "Nodule, similar in appearance."},
        {"temporal", "Improving edema.", "Worsening edema."},
        {"", "Stable nodule compared to prior CT.", "Compared with the prior CT, stable nodule."});
}

static void numbers_that_are_none(void **state)
{
    (void)state;
    EXPECT({"", "1. Effusion. 2. Nodule.", "1. Nodule. 2. Effusion."},
           {"", "1) Effusion 2) Nodule", "Effusion. Nodule."},
           {"", "Nodule, stable since 3/14/2001.", "Nodule, stable since 5/16/2004."},
           {"", "Nodule, stable since March 14, 2001.", "Nodule, stable since 2004."},
           {"", "Nodule (series 3, image 45).", "Nodule (series 2, image 12)."},
           {"", "Nodule. Seen at 10:30.", "Nodule. Seen at 11:45."},
           {"", "72-year-old with a nodule.", "68-year-old with a nodule."});
}

static void recommendations(void **state)
{
    (void)state;
    EXPECT(
        {"recommendation", "Nodule. Follow-up CT in 3 months.",
         "Nodule. Follow-up CT in 12 months."},
        {"", "Nodule. Follow-up CT in 1 year.", "Nodule. Repeat CT is recommended in 12 months."},
        {"recommendation", "Nodule. Recommend MRI.", "Nodule. Recommend ultrasound."},
        {"recommendation", "Nodule. Recommend PET.", "Nodule."},
        {"recommendation", "Nodule.", "Nodule. CT is recommended."},
        {"", "Nodule. Comparison CT.", "Nodule. Comparison MRI."});
}

static void synonyms_and_forms(void **state)
{
    (void)state;
    EXPECT({"", "Cardiomegaly.", "The cardiac silhouette is mildly enlarged."},
           {"", "CARDIOMEGALY.", "Enlarged heart."}, {"", "Renal calculi.", "Kidney stone."},
           {"", "Pneumothoraces.", "Pneumothorax."}, {"", "Haemorrhage.", "Hemorrhage."},
           {"", "Opacities which may represent pneumonia.", "Infiltrates."},
           {"", "Healed rib fractures.", "Old fracture of a rib."},
           {"", "Torn anterior cruciate ligament.", "ACL tear."});
}

/* Only what matters is missed; what is added is said whatever it is. */
static void significance(void **state)
{
    (void)state;
    EXPECT({"", "No fracture.", "No fracture. Scoliosis."},
           {"added", "No fracture. Scoliosis.", "No fracture."},
           {"missing", "No fracture.", "No fracture. Small bowel obstruction."});
    struct facts_result r = check("Scoliosis. Aneurysm.", "No fracture.", "");
    assert_int_equal(r.nflags, 2);
    assert_int_equal(r.flags[0].significance, FACTS_MINOR);
    assert_int_equal(r.flags[1].significance, FACTS_URGENT);
    assert_string_equal(r.flags[1].concept, "aneurysm");
}

static void source_supports(void **state)
{
    (void)state;
    const char *source = "Small right pleural effusion. No pneumothorax.";
    struct facts_result r = check("Right pleural effusion. Fracture.", "Clear lungs.", source);
    assert_int_equal(r.by_kind[FACTS_ADDED], 2);
    assert_int_equal(r.nadded_unsupported, 1);
    assert_true(r.flags[0].supported && !r.flags[1].supported);
    assert_int_equal(r.flags[0].source.from, 12);
    assert_int_equal(r.flags[0].source.to, 28);
    assert_int_equal(r.flags[1].source.to, 0);
    assert_true(fabs(r.support - 0.5) < 1e-12);
}

/* Against the findings where the reference is silent, or where there is none. */
static void source_contradicts(void **state)
{
    (void)state;
    struct facts_result r = check("Pneumothorax.", "Stable.", "There is no pneumothorax.");
    assert_int_equal(r.by_kind[FACTS_NEGATION], 1);
    r = check("Left effusion.", "", "Right pleural effusion.");
    assert_int_equal(r.nflags, 1);
    assert_int_equal(r.flags[0].kind, FACTS_LATERALITY);
    assert_int_equal(r.flags[0].reference.to, 0);
    assert_int_equal(r.flags[0].source.to, 22);
    r = check("Effusion.", "Effusion.", "");
    assert_true(isnan(r.support));
    r = check("Effusion.", "", "");
    assert_int_equal(r.by_kind[FACTS_ADDED], 1);
}

static void spans(void **state)
{
    (void)state;
    struct facts_result r =
        check("Clear. Left renal mass.", "Clear. Mass in the right kidney.", "");
    assert_int_equal(r.nflags, 1);
    assert_int_equal(r.flags[0].generated.from, 12);
    assert_int_equal(r.flags[0].generated.to, 22);
    assert_int_equal(r.flags[0].reference.from, 7);
    assert_int_equal(r.flags[0].reference.to, 11);
}

static void scores(void **state)
{
    (void)state;
    const char *reference = "Right pneumothorax. Cardiomegaly.";
    double same = check(reference, reference, "").score;
    double side = check("Left pneumothorax. Cardiomegaly.", reference, "").score;
    double less = check("Cardiomegaly.", reference, "").score;
    double more = check("Right pneumothorax. Cardiomegaly. Aneurysm.", reference, "").score;
    double wrong = check("No pneumothorax. Aneurysm. Fracture.", reference, "").score;
    assert_true(same == 100 && check("Clear lungs.", "Clear lungs.", "").score == 100);
    assert_true(same > side && side > less && less > wrong && same > more && more > wrong);
    assert_true(wrong >= 0 && wrong < 50);
    assert_true(check("", reference, "").score < 50);
}

/* ---- any texts */

static const char *const reports[] = {
    "",
    "Heart size normal. Lungs clear. No effusion or pneumothorax.",
    "1. Acute left frontal infarct. 2. No hemorrhage. 3. Mild atrophy, unchanged.",
    ("There is a 4 x 5 cm right renal mass. Two left renal stones, 3 mm and 5 mm. No "
     "hydronephrosis."),
    "L4-L5: large disc extrusion with severe canal stenosis. L5-S1: mild bulge. Cord is normal.",
    "Moderate left and small right pleural effusions, increased. Recommend CT in 3 months.",
    "Gallstones without cholecystitis. Liver is echogenic. Spleen is normal. Small ascites.",
    "Complete tear of the ACL. Medial meniscus tear. Joint effusion. No fracture.",
};
#define NREPORTS (sizeof reports / sizeof *reports)

static void same_text_no_flag(void **state)
{
    (void)state;
    for (size_t i = 0; i < NREPORTS; i++) {
        struct facts_result r = check(reports[i], reports[i], reports[i]);
        if (r.nflags) fail_msg("%s: %s", facts_kind_names[r.flags[0].kind], reports[i]);
        assert_true(r.score == 100);
    }
}

/* What one text adds is what the other lacks, as far as it is significant. */
static void swapped_texts_mirror(void **state)
{
    (void)state;
    for (size_t i = 0; i < NREPORTS; i++)
        for (size_t j = 1; j < NREPORTS; j++) {
            if (i == 0) continue; /* an empty reference is none */
            struct facts_result x = check(reports[i], reports[j], "");
            struct facts_result y = check(reports[j], reports[i], "");
            uint32_t added = 0, back = 0;
            for (size_t k = 0; k < x.nflags; k++)
                added +=
                    x.flags[k].kind == FACTS_ADDED && x.flags[k].significance >= FACTS_ACTIONABLE;
            for (size_t k = 0; k < y.nflags; k++)
                back +=
                    y.flags[k].kind == FACTS_ADDED && y.flags[k].significance >= FACTS_ACTIONABLE;
            assert_int_equal(added, y.by_kind[FACTS_MISSING]);
            assert_int_equal(back, x.by_kind[FACTS_MISSING]);
            assert_int_equal(x.by_kind[FACTS_NEGATION], y.by_kind[FACTS_NEGATION]);
            assert_int_equal(x.by_kind[FACTS_LATERALITY], y.by_kind[FACTS_LATERALITY]);
        }
}

/* ---- lexicons and limits */

static const char *const names[] = {"plurals.tsv", "words.tsv", "anatomy.tsv", "findings.tsv",
                                    "compose.tsv"};

static void copy_lexicon(void)
{
    for (size_t i = 0; i < 5; i++) {
        char path[512];
        size_t n;
        snprintf(path, sizeof path, "%s/evaluate/lexicon/%s", RADMILL_SOURCE, names[i]);
        char *text = testdir_read(path, &n);
        testdir_write(testdir_path(names[i]), text, n);
        free(text);
    }
}

static void own_lexicon(void **state)
{
    (void)state;
    struct facts *own;
    struct err e = {0};
    const char *dir = testdir_make();
    copy_lexicon();
    assert_true(facts_open(dir, &own, &e));
    assert_string_equal(facts_digest(own), facts_digest(facts));
    facts_close(own);
    static const char more[] = "zebra\tzebra\tlung\t3\tCR\tzebra stripe|zebra\n";
    testdir_write(testdir_path("findings.tsv"), more, strlen(more));
    testdir_write(testdir_path("compose.tsv"), "", 0);
    assert_true(facts_open(dir, &own, &e));
    struct facts_result r;
    assert_true(facts_check(own, STR("Zebra stripes."), STR("Zebra."), STR(""), &arena, &r, &e));
    assert_int_equal(r.nflags, 0);
    assert_true(facts_check(own, STR("No zebras."), STR("Zebra."), STR(""), &arena, &r, &e));
    assert_int_equal(r.by_kind[FACTS_NEGATION], 1);
    assert_string_not_equal(facts_digest(own), facts_digest(facts));
    assert_non_null(strstr(facts_signature(own), "facts|lexicon:"));
    facts_close(own);
    testdir_remove();
}

static void bad_lexicons(void **state)
{
    (void)state;
    static const struct {
        const char *file, *text, *says;
    } rows[] = {
        {"words.tsv", "neg_pre\tno\n", "words.tsv line 1: 2 columns, expected 3"},
        {"words.tsv", "# x\nnonsense\t\tno\n", "words.tsv line 2: a class that does not exist"},
        {"words.tsv", "severity\t7\tdire\n", "a value above 6"},
        {"words.tsv", "time\tsoon\tsoon\n", "a time is"},
        {"words.tsv", "place\tup:\tup\n", "a side is"},
        {"words.tsv", "neg_pre\t\tno||not\n", "an empty term"},
        {"words.tsv", "unit\tlength\tmm\n", "quantity:factor"},
        {"words.tsv", "stop\t\ta b c d e f g h i j k\n", "more than 10 words"},
        {"findings.tsv", "a\ta\tlung\t4\tCR\ta\n", "a value above 3"},
        {"findings.tsv", "a\ta\tlung\t1\tCR\ta\na\ta\tlung\t1\tCR\tb\n", "an id stands twice"},
        {"compose.tsv", "nowhere\tnormal\topacity\n", "no such anatomy"},
        {"compose.tsv", "heart\tnormal\tnothing\n", "no such finding"},
        {"compose.tsv", "heart\tblue\topacity\n", "no such predicate"},
        {"plurals.tsv", "a\tb\na\tc\n", "a form stands twice"},
    };
    const char *dir = testdir_make();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct facts *own;
        struct err e = {0};
        copy_lexicon();
        testdir_write(testdir_path(rows[i].file), rows[i].text, strlen(rows[i].text));
        assert_false(facts_open(dir, &own, &e));
        assert_null(own);
        if (!strstr(e.text, rows[i].says) || !strstr(e.text, rows[i].file))
            fail_msg("row %zu: %s", i, e.text);
    }
    testdir_remove();
    struct facts *own;
    struct err e = {0};
    assert_false(facts_open("/nowhere/at/all", &own, &e));
    assert_int_equal(e.code, ERR_IO);
}

static void limits(void **state)
{
    (void)state;
    struct facts_result r;
    size_t n = 2 * (FACTS_MAX_WORDS + 1);
    char *text = malloc(n);
    assert_non_null(text);
    for (size_t i = 0; i < n; i++)
        text[i] = i % 2 ? ' ' : 'a';
    struct err e = {0};
    assert_false(facts_check(facts, (struct str){text, n}, STR("a"), STR(""), &arena, &r, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    e = (struct err){0};
    struct str most = {text, 2 * FACTS_MAX_WORDS};
    if (!facts_check(facts, most, STR("a"), STR("a"), &arena, &r, &e)) fail_msg("%s", e.text);
    free(text);
    /* more statements than are looked at, all in one sentence */
    text = malloc(16384 * 8);
    assert_non_null(text);
    for (size_t i = 0; i < 16384; i++)
        memcpy(text + 8 * i, "nodule, ", 8);
    struct str many = {text, 16384 * 8};
    assert_true(facts_check(facts, many, many, STR(""), &arena, &r, &e));
    assert_int_equal(r.nflags, 0);
    free(text);
}

/* Every allocation fails once: the error arrives, nothing leaks. */
static void no_memory(void **state)
{
    (void)state;
    size_t before = mem_live_blocks();
    for (uint64_t n = 1;; n++) {
        struct facts *own = NULL;
        struct arena a;
        struct facts_result r;
        struct err e = {0};
        arena_init(&a, (size_t)1 << 24);
        fault_arm(FAULT_MEM, n, false);
        bool ok =
            facts_open(NULL, &own, &e) && facts_check(own, str_of(reports[5]), str_of(reports[3]),
                                                      str_of(reports[1]), &a, &r, &e);
        bool fired = fault_fired();
        fault_disarm_all();
        assert_true(ok == (e.code == ERR_NONE));
        facts_close(own);
        arena_free(&a);
        assert_int_equal(mem_live_blocks(), before);
        if (!fired) break;
        assert_false(ok);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(negation_scope),
        cmocka_unit_test(no_negation),
        cmocka_unit_test(moot),
        cmocka_unit_test(normal_statements),
        cmocka_unit_test(sides),
        cmocka_unit_test(zones_and_levels),
        cmocka_unit_test(findings_are_counted_once),
        cmocka_unit_test(one_of_two_levels),
        cmocka_unit_test(sizes),
        cmocka_unit_test(severity_and_time),
        cmocka_unit_test(numbers_that_are_none),
        cmocka_unit_test(recommendations),
        cmocka_unit_test(synonyms_and_forms),
        cmocka_unit_test(significance),
        cmocka_unit_test(source_supports),
        cmocka_unit_test(source_contradicts),
        cmocka_unit_test(spans),
        cmocka_unit_test(scores),
        cmocka_unit_test(same_text_no_flag),
        cmocka_unit_test(swapped_texts_mirror),
        cmocka_unit_test(own_lexicon),
        cmocka_unit_test(bad_lexicons),
        cmocka_unit_test(limits),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
