/* The formats, each with its traps (shared/spec/ingest.md 4): what a reader makes of bytes, however
 * they are cut into pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/mem.h"
#include "ingest/charset.h"
#include "ingest/formatrun.h"
#include "ingest/when.h"

static struct err e;
static struct ingest_source_opts source;

static int setup(void **state)
{
    (void)state;
    err_clear(&e);
    memset(&source, 0, sizeof source);
    return 0;
}

static void expect_n(const struct format *f, const char *name, struct str bytes, const char *want)
{
    static const size_t pieces[] = {1, 2, 3, 7, 64, 1 << 20};

    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct sbuf out;
        sbuf_init(&out, 1 << 20);
        if (!formatrun(f, &source, str_of(name), bytes, pieces[i], &out, &e))
            fail_msg("%s", e.text);
        assert_string_equal(out.p ? out.p : "", want);
        sbuf_free(&out);
        assert_int_equal(mem_live_blocks(), 0);
        if (f->one) break;
    }
}

static void expect(const struct format *f, const char *text, const char *want)
{
    expect_n(f, "", str_of(text), want);
}

static void expect_refusal(const struct format *f, const char *text, const char *part)
{
    struct sbuf out;
    sbuf_init(&out, 1 << 20);
    assert_false(formatrun(f, &source, STR(""), str_of(text), 100, &out, &e));
    if (e.code != ERR_CONFIG || !strstr(e.text, part)) fail_msg("%s", e.text);
    err_clear(&e);
    sbuf_free(&out);
    assert_int_equal(mem_live_blocks(), 0);
}

/* ---- tables */
static void test_csv(void **state)
{
    (void)state;
    expect(&format_csv,
           "MRN,Accession #,Exam Date,Report Status,Modality,Findings,Impression\n"
           "7,A1,2016-11-18 12:30,Prelim,DX,Seen.,\"Two\nlines.\"\n"
           "7,=\"0012\",11/18/2016 2:05 PM,Corrected,CT,,Only.\n"
           "7,1.23E+11,42692,F,MR,x,y\n"
           "'8,A4,18-NOV-2016,,US,too,many,cells\n",
           "2:7/A1 P t=20161118123000 column=DX findings[Seen.] impression[Two\nlines.]\n"
           "4:7/0012 C t=20161118140500 column=CT impression[Only.]\n"
           "5:7/ F t=20161118000000 column=MR findings[x] impression[y]\n"
           "6!row-fields\n");
    expect(&format_csv, "sep=;\r\nid;report_text;addendum\r\n1;a,b;\r\n2;x;later\r\n",
           "3:/1 - {a,b}\n4:/2 - {x\n\nADDENDUM:\nlater}\n");
    expect(&format_tsv, "id\treport, full\ttext\n1\ta;b,c\td\n", "2:/1 - {d}\n");
    expect(&format_csv, "id,text,Reading Radiologist\n1,x,\"Roe, Ann\"\n",
           "2:/1 - reader=Roe, Ann {x}\n");
    expect_refusal(&format_csv, "id,date\n1,2\n", "name them under columns");
}

static void test_csv_encodings(void **state)
{
    (void)state;
    expect_n(&format_csv, "",
             (struct str){"\xFF\xFEi\0d\0\t\0t\0e\0x\0t\0\n\0"
                          "1\0\t\0\xE9\0",
                          24},
             "2:/1 - {\xC3\xA9}\n");
    expect_n(&format_csv, "",
             (struct str){"i\0d\0,\0t\0e\0x\0t\0\n\0"
                          "1\0,\0\x13\x20",
                          22},
             "2:/1 - {\xE2\x80\x93}\n"); /* no mark */
    source.encoding = CHARSET_WINDOWS;
    expect(&format_csv, "id,text\n1,\x93q\x94 2\xB0\n",
           "2:/1 - {\xE2\x80\x9Cq\xE2\x80\x9D 2\xC2\xB0}\n");
    source.encoding = CHARSET_UTF16BE;
    expect_n(&format_csv, "",
             (struct str){"\0i\0d\0,\0t\0e\0x\0t\0\n\0"
                          "1\0,\xD8\x00",
                          22},
             "2:/1 - {\xEF\xBF\xBD}\n"); /* half a pair */
}

/* ---- JSON lines */
static void test_jsonl(void **state)
{
    (void)state;
    expect(&format_jsonl,
           "\xEF\xBB\xBF{\"accession\": \"A1\", \"patient\": {\"id\": 12345678901}, \"status\": "
           "null,\n"
           " \"report\": {\"findings\": [\"one\", \"two\"], \"impression\": \"I\"}}\n"
           "\n\n"
           "{\"accession\":\"A2\",\"report\":{\"text\":\"a {brace\\\" \\n\"}}{\"accession\":\"A3\","
           "\"report\":{\"findings\":\"f\"}}\n"
           "{\"accession\": \"A4\", \"report\": {\"text\": \"cut off\n"
           "{\"accession\": \"A5\", \"report\": {\"findings\": \"f\"}, \"odd\": {\"id\": 3}\n"
           "{\"accession\": \"A6\", \"report\": {\"findings\": \"f\"}}\n"
           "no json\n"
           "{\"accession\": \"A7\", \"report\": {\"findings\": \"\x93q\x94\"}}",
           "1:12345678901/A1 - findings[one\ntwo] impression[I]\n"
           "5:/A2 - {a {brace\" \n}\n"
           "5:/A3 - findings[f]\n"
           "6!format\n"
           "7!format\n"
           "8:/A6 - findings[f]\n"
           "9!format\n"
           "10:/A7 - findings[\xE2\x80\x9Cq\xE2\x80\x9D]\n");
    expect(&format_jsonl, "[{\"id\": 1, \"text\": \"a\"}, {\"id\": 2, \"text\": \"b\"}]\n",
           "1:/1 - {a}\n1:/2 - {b}\n");
    expect(&format_jsonl, "", "");
    /* cut off between two objects: nobody else would notice */
    expect(&format_jsonl, "[{\"id\": 1, \"text\": \"a\"},\n", "1:/1 - {a}\n2!truncated\n");
    expect(&format_jsonl, "[{\"id\": 1, \"text\": \"a\"}]\n[{\"id\": 2, \"text\": \"b\"}",
           "1:/1 - {a}\n2:/2 - {b}\n2!truncated\n");
    expect(&format_jsonl, "[{\"id\": 1, \"text\": \"a\"},\nno json]\n", "1:/1 - {a}\n2!format\n");
    /* several reports in one object do not run together; one with addenda, priors or codes does */
    expect(
        &format_jsonl,
        "{\"results\": [{\"mrn\": \"P1\", \"accession\": 1, \"findings\": \"a\"}, "
        "{\"mrn\": \"P1\", \"accession\": 2, \"findings\": \"b\"}]}\n"
        "{\"results\": [{\"mrn\": \"P1\", \"findings\": \"a\"}, {\"mrn\": \"P2\", \"findings\": "
        "\"b\"}]}\n"
        "{\"results\": [{\"accession\": 3, \"findings\": \"a\"}, {\"accession\": 3, \"findings\": "
        "\"b\"}]}\n"
        "{\"accession\": 4, \"text\": \"a\", \"prior\": [{\"accession\": 1}, {\"accession\": "
        "2}]}\n",
        "1!format\n2!format\n3:/3 - findings[a\nb]\n4:/4 - {a}\n");
    expect_refusal(&format_jsonl, "{\"id\": 1, \"words\": \"a\"}", "name them under columns");
}

/* What the configuration names wins; a usual name deep in something else is not taken for it. */
static void test_jsonl_columns(void **state)
{
    const char *words[] = {"doc.body"}, *id[] = {"ids.acc"};
    (void)state;
    source.columns.role[ROLE_TEXT] = (struct opt_strs){words, 1};
    source.columns.role[ROLE_STUDY] = (struct opt_strs){id, 1};
    expect(&format_jsonl,
           "{\"ids\": {\"acc\": 5.5, \"mrn\": true}, \"doc\": {\"body\": \"x\"}, \"text\": \"no\", "
           "\"device\": {\"status\": \"final\"}}",
           "1:true/5.5 - {x}\n");
}

/* ---- HL7 v2 */
#define MSH "MSH|^~\\&|RIS|S|C|H|201108251200||ORU^R01|1|P|2.5.1"
#define PID "PID|1||X9^^^S^PI~M7^^^S^MR||Z^Z"
#define OBR(acc, status)                                                                           \
    "OBR|1|P1|" acc "|71046^CHEST \\T\\ RIBS^L|||20110825113000|||||||||||||||||RX|" status

static void test_hl7_styles(void **state)
{
    (void)state;
    expect(
        &format_hl7,
        "FHS|^~\\&|RIS\rBHS|^~\\&|RIS\r" MSH "\r" PID "\r" OBR(
            "A1",
            "F") "\r"
                 "OBX|1|TX|||FINDINGS:||||||F\rOBX|2|TX|||||||||F\rOBX|3|TX|||Clear ~again||||||F\r"
                 "BTS|1\rFTS|1\r"
                 "\x0b" MSH "\r" PID "\r" OBR(
                     "A2", "C") "\r"
                                "OBX|1|FT|18748-4^Study^LN|1|IMPRESSION:\\.br\\a \\F\\ b \\S\\ c "
                                "\\X41\\\\.sp\\\\E\\ \\H\\d\\N\\ 5\\6||||||C\r\x1c\r" MSH "\r\n" PID
                                "\r\n" OBR("A3",
                                           "P") "\r\n"
                                                "OBX|1|TX|71045&GDT|1|Seen.||||||F\r\nOBX|2|TX|"
                                                "71045&IMP|1|Thing.||||||F\r\n"
                                                "OBX|3|TX|55752-0^Clinical^LN|1|Cough.||||||"
                                                "F\r\nOBX|4|TX|71045&GDT|2|Gone.||||||D\r\n"
                                                "OBX|5|TX|x^Impression^L||And "
                                                "more.||||||F\r\nOBX|6|TX|1&ADT||Late.||||||F\r\n",
        "3:M7/A1 F t=20110825120000 column=RX code=71046 description=CHEST & RIBS "
        "{FINDINGS:\n\nClear "
        "\nagain}\n"
        "11:M7/A2 C t=20110825120000 column=RX code=71046 description=CHEST & RIBS {IMPRESSION:\na "
        "| "
        "b ^ c A\n\\ d 5\\6}\n"
        "16:M7/A3 P t=20110825120000 column=RX code=71046 description=CHEST & RIBS {\n\nADDENDUM:\n"
        "Late.} findings[Seen.] impression[Thing.\nAnd more.] clinical[Cough.]\n");
}

static void test_hl7_traps(void **state)
{
    (void)state;
    /* Other delimiters; a line break in OBX-5; text under the second OBR; a PDF; no message. */
    expect(&format_hl7,
           "MSH#*!\\$#RIS#S#C#H#2011##ORU*R01#1\r"
           "PID#1##M8*b\rOBR#1##B1##\rOBX#1#CE#x##c*Words*L######F\r",
           "1:M8/B1 F {Words}\n");
    /* Without a status of the report those of its lines tell it; the report's own wins. */
    expect(&format_hl7,
           MSH "\r" PID "\rOBR|1||B2\rOBX|1|TX|||One||||||F\rOBX|2|TX|||two||||||C\r"
               "OBR|2||B3\rOBX|1|TX|||One||||||P\rOBX|2|TX|||two||||||C\r"
               "OBR|3||B4\rOBX|1|TX|||One\r" OBR("B5", "F") "\rOBX|1|TX|||One||||||P\r",
           "1:M7/B2 C t=20110825120000 {One\ntwo}\n1:M7/B3 P t=20110825120000 {One\ntwo}\n"
           "1:M7/B4 - t=20110825120000 {One}\n"
           "1:M7/B5 F t=20110825120000 column=RX code=71046 description=CHEST & RIBS {One}\n");
    expect(&format_hl7, MSH "\n" PID "\n" OBR("A1", "F") "\nOBX|1|TX|||one\ntwo\n\nthree||||||F\n",
           "1:M7/A1 F t=20110825120000 column=RX code=71046 description=CHEST & RIBS "
           "{one\ntwo\n\nthree}\n");
    expect(
        &format_hl7,
        MSH "\r" PID
            "\rORC|RE||O1\r" OBR("", "F") "\rOBX|1|TX|||Both.||||||F\rORC|RE\r" OBR("A2", "F") "\r",
        "1:M7/O1 F t=20110825120000 column=RX code=71046 description=CHEST & RIBS {Both.}\n1-\n");
    expect(
        &format_hl7,
        MSH "\r" PID "\r" OBR(
            "A1",
            "F") "\rOBX|1|ED|PDF||^application^pdf^Base64^JVBERg==\r" MSH "\r" PID
                 "\r" OBR("A2",
                          "F") "\rOBX|1|ED|T||^TEXT^plain^Base64^SGkh\r" MSH "\r" PID
                               "\r" OBR(
                                   "A3",
                                   "X") "\r"
                                        "MSH|^~\\&|RIS|S|C|H|2011||ADT^A01|1\rPID|1||M7\r"
                                        "what is this\r" MSH "\r" PID
                                        "\rOBR|1||L1|GLU||||||||||||||||||||LAB|F\rOBX|1|NM|||7\r",
        "1!no-text\n"
        "5:M7/A2 F t=20110825120000 column=RX code=71046 description=CHEST & RIBS {Hi!}\n"
        "9:M7/A3 X t=20110825120000 column=RX code=71046 description=CHEST & RIBS\n"
        "12-\n15-\n");
    expect(&format_hl7,
           "nothing\r\nof ours\r\n" MSH "\r" PID "\r" OBR("A1", "F") "\rNTE|1||By note\r",
           "1!format\n2!format\n"
           "3:M7/A1 F t=20110825120000 column=RX code=71046 description=CHEST & RIBS {By note}\n");
    expect(&format_hl7, MSH, "1!format\n");
    expect(&format_hl7, "MSH|", "1!format\n");
    expect(&format_hl7, "", "");
}

/* ---- FHIR */
#define FHIR                                                                                       \
    "{\"resourceType\":\"DiagnosticReport\",\"id\":\"d1\",\"status\":\"amended\","                 \
    "\"identifier\":[{\"value\":\"other\"},{\"type\":{\"coding\":[{\"code\":\"ACSN\"}]},"          \
    "\"value\":\"A1\"}],"                                                                          \
    "\"subject\":{\"reference\":\"Patient/M1\"},\"issued\":\"2016-02-11T10:00:00Z\","              \
    "\"code\":{\"coding\":[{\"system\":\"http://loinc.org\",\"code\":\"18748-4\"},"                \
    "{\"system\":\"http://www.ama-assn.org/go/cpt\",\"code\":\"71046\"}],\"text\":\"XR CHEST\"}"
#define HEAD "/A1 C t=20160211100000 code=71046 description=XR CHEST"

static void test_fhir(void **state)
{
    (void)state;
    expect(
        &format_fhir,
        FHIR
        ",\"presentedForm\":[{\"contentType\":\"application/pdf\",\"data\":\"JVBERg==\"},"
        "{\"contentType\":\"text/plain; charset=utf-8\",\"data\":\"RklORElOR1M6\\r\\nDQp4\"}],"
        "\"conclusion\":\"C\"}\n" FHIR ",\"text\":{\"div\":\"<div><p>FINDINGS:<br/>a &lt; "
        "b&#160;&deg;</p><p>c</p></div>\"}}\n" FHIR ",\"presentedForm\":[{\"contentType\":\"text/"
        "rtf\",\"data\":\"e1xydGYxe1xmb250dGJsIEFyaWFsO31hXHBhciBiXCdlOX0=\"}]}\n" FHIR
        ",\"presentedForm\":[{\"contentType\":\"application/pdf\",\"data\":\"JVBERg==\"}]}\n" FHIR
        ",\"category\":[{\"coding\":[{\"code\":\"LAB\"}]}],\"conclusion\":\"x\"}\n" FHIR
        ",\"category\":[{\"coding\":[{\"code\":\"CT\"}]}],\"conclusion\":\"x\"}\n"
        "{\"resourceType\":\"Patient\",\"id\":\"p\"}\n"
        "{\"resourceType\":\"Bundle\",\"entry\":[{\"resource\":" FHIR
        ",\"conclusion\":\"1\"}},{\"resource\":" FHIR ",\"conclusion\":\"2\"}}]}\n"
        "{\"resourceType\":\n",
        "1:M1" HEAD " {FINDINGS:\r\nx} impression[C]\n"
        "2:M1" HEAD " {FINDINGS:\na < b \xC2\xB0\nc\n}\n"
        "3:M1" HEAD " {a\nb\xC3\xA9}\n"
        "4!no-text\n"
        "5-\n"
        "6:M1/A1 C t=20160211100000 column=CT code=71046 description=XR CHEST impression[x]\n"
        "7-\n"
        "8:M1" HEAD " impression[1]\n"
        "8:M1" HEAD " impression[2]\n"
        "9!format\n");
}

/* ---- Open-i, text, MIMIC-CXR */
static void test_openi(void **state)
{
    (void)state;
    expect(&format_openi,
           "<?xml version=\"1.0\"?><eCitation><uId id=\"CXR1\"/><ArticleTitle>Chest</ArticleTitle>"
           "<AbstractText Label=\"COMPARISON\"/><AbstractText Label=\"FINDINGS\">a &lt;\n "
           "b</AbstractText>"
           "<AbstractText Label=\"IMPRESSION\"><![CDATA[1 < 2]]></AbstractText></eCitation>",
           "0:/CXR1 - description=Chest findings[a <\n b] impression[1 < 2]\n");
    expect(&format_openi, "<eCitation><uId id=\"CXR1\"/>", "0!format\n");
    expect(&format_openi,
           "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b "
           "\"&a;&a;&a;\">]><eCitation>&b;</eCitation>",
           "0!format\n");
    expect(&format_openi, "", "0!format\n");
}

static void test_text(void **state)
{
    (void)state;
    expect_n(&format_text, "a/b/S1.v2.txt", STR("x"), "0:/S1.v2 - {x}\n");
    source.names = "{patient}/{study}.txt";
    expect_n(&format_text, "a/b/S1.txt", STR("x"), "0:b/S1 - {x}\n");
    expect_n(&format_text, "S1.txt", STR("x"), "0!no-name\n");
    source.names = "p{patient}_{study}_final.txt";
    expect_n(&format_text, "a/p12_A_7_final.txt", STR("\xFF\xFEx\0"), "0:12/A_7 - {x}\n");
    expect_n(&format_text, "a/p12.txt", STR("x"), "0!no-name\n");
    source.names = NULL;
    expect_n(&format_mimic, "files/p10/p10000032/s50414267.txt", STR("x"),
             "0:10000032/50414267 - {x}\n");
    expect_n(&format_mimic, "files/p10/other.txt", STR("x"), "0-\n");
}

static void expect_guess(const char *name, const char *head, const struct format *want)
{
    assert_ptr_equal(format_guess(&source, str_of(name), str_of(head)), want);
}

static void test_guess(void **state)
{
    (void)state;
    expect_guess("files/p10/p10000032/s50414267.txt", "FINAL REPORT", &format_mimic);
    expect_guess("x.txt", "MSH|^~\\&|RIS", &format_hl7);
    expect_guess("x.bin", "\x0bMSH|^~\\&|RIS", &format_hl7);
    expect_guess("x.json", "{\"resourceType\": \"DiagnosticReport\"", &format_fhir);
    expect_guess("x.json", "\n[{ \"text\": 1", &format_jsonl);
    expect_guess("x.xml", "<?xml version=\"1.0\"?>\n<eCitation>", &format_openi);
    expect_guess("x.txt", "id;\"Findings\";Impression\n", &format_csv);
    expect_guess("x.csv", "a,b\n", &format_csv);
    expect_guess("x.tsv", "a\tb\n", &format_tsv);
    expect_guess("x.txt", "FINDINGS: clear", &format_text);
    expect_guess("x.pdf", "%PDF-1.4\x01\x02\x03", NULL);
    assert_true(format_is_litter(STR("__MACOSX/a.csv")));
    assert_true(format_is_litter(STR("a/.DS_Store")));
    assert_false(format_is_litter(STR("a/b.csv")));
}

static void expect_when(const char *s, uint64_t want)
{
    if (when_of(str_of(s)) != want) fail_msg("%s: %llu", s, (unsigned long long)when_of(str_of(s)));
}

static void test_when(void **state)
{
    (void)state;
    expect_when("2016-11-18T12:30:05.123+01:00", 20161118123005);
    expect_when("20161118", 20161118000000);
    expect_when("201611181230-0500", 20161118123000);
    expect_when("18.11.2016 08:01", 20161118080100);
    expect_when("11/8/2016 12:00 AM", 20161108000000);
    expect_when("Nov 8, 2016", 20161108000000);
    expect_when("1", 0);
    expect_when("43101.75", 20180101180000);
    expect_when("60", 0);
    expect_when("unknown", 0);
    expect_when("99999999", 0);
}

/* Wherever memory fails there is one error, and nothing leaks; expat and libcsv included. */
static void test_no_memory(void **state)
{
    static const struct {
        const struct format *f;
        const char *text;
    } cases[] = {
        {&format_csv, "id,text\n1,\"a\nb\"\n"},
        {&format_jsonl, "{\"id\": 1, \"text\": \"\x93\"}\n{\"id\": [2], \"text\": \"b\"}"},
        {&format_hl7, MSH "\r" PID "\r" OBR("A1", "F") "\rOBX|1|TX|||\\.br\\x||||||F\r"},
        {&format_fhir, FHIR ",\"text\":{\"div\":\"<p>x</p>\"}}"},
        {&format_openi,
         "<eCitation><uId id=\"C\"/><AbstractText Label=\"FINDINGS\">a</AbstractText></eCitation>"},
        {&format_text, "x"},
    };
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        size_t failures = 0;
        for (uint64_t n = 1;; n++) {
            bool ok, fired;
            fault_arm(FAULT_MEM, n, true);
            ok = formatrun(cases[k].f, &source, STR("a.txt"), str_of(cases[k].text), 10, NULL, &e);
            fired = fault_fired();
            fault_disarm_all();
            assert_int_equal(mem_live_blocks(), 0);
            if (!fired) break;
            assert_false(ok);
            assert_int_equal(e.code, ERR_NOMEM);
            err_clear(&e);
            failures++;
        }
        assert_true(failures > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_csv, setup),
        cmocka_unit_test_setup(test_csv_encodings, setup),
        cmocka_unit_test_setup(test_jsonl, setup),
        cmocka_unit_test_setup(test_jsonl_columns, setup),
        cmocka_unit_test_setup(test_hl7_styles, setup),
        cmocka_unit_test_setup(test_hl7_traps, setup),
        cmocka_unit_test_setup(test_fhir, setup),
        cmocka_unit_test_setup(test_openi, setup),
        cmocka_unit_test_setup(test_text, setup),
        cmocka_unit_test_setup(test_guess, setup),
        cmocka_unit_test_setup(test_when, setup),
        cmocka_unit_test_setup(test_no_memory, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
