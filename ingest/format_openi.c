/*
 * Open-i XML (eCitation): a report a file. AbstractText by Label, uId as study, ArticleTitle as
 * description. The collection names no patient. Entity declarations, which a report does not need,
 * are refused: they are how a small file becomes a large one.
 */
#include <expat.h>

#include "base/mem.h"
#include "ingest/format.h"

enum { MAX_DEPTH = 64, MAX_LABEL = 64 };
enum part { PART_NONE, PART_TITLE, PART_TEXT };

struct openi {
    XML_Parser parser;
    struct sbuf *text, *ids;
    enum part part;
    int section; /* of the part being read; -1: none of ours */
    unsigned depth;
    size_t begin;
    struct record_span sections[SEC_COUNT], title, id;
    bool failed, refused;
    struct err failure;
};

static int section_of(const char *label)
{
    static const struct {
        const char *label;
        enum record_section section;
    } labels[] = {
        {"FINDINGS", SEC_FINDINGS}, {"IMPRESSION", SEC_IMPRESSION},   {"INDICATION", SEC_CLINICAL},
        {"HISTORY", SEC_CLINICAL},  {"COMPARISON", SEC_COMPARISON},   {"TECHNIQUE", SEC_TECHNIQUE},
        {"EXAM", SEC_EXAMINATION},  {"EXAMINATION", SEC_EXAMINATION},
    };

    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        if (label && strcmp(label, labels[i].label) == 0) return labels[i].section;
    }
    return -1;
}

static const char *attribute(const char **attributes, const char *name)
{
    for (size_t i = 0; attributes[i]; i += 2) {
        if (strcmp(attributes[i], name) == 0) return attributes[i + 1];
    }
    return NULL;
}

static void on_start(void *ctx, const char *name, const char **attributes)
{
    struct openi *x = ctx;

    if (x->failed || x->refused) return;
    if (++x->depth > MAX_DEPTH) {
        x->refused = true;
        XML_StopParser(x->parser, XML_FALSE);
        return;
    }
    if (strcmp(name, "uId") == 0) {
        const char *id = attribute(attributes, "id");
        x->id = (struct record_span){(uint32_t)x->ids->n, id ? (uint32_t)strlen(id) : 0};
        if (id) x->failed = !sbuf_put(x->ids, str_of(id), &x->failure);
    } else if (strcmp(name, "ArticleTitle") == 0) {
        x->part = PART_TITLE;
        x->begin = x->text->n;
    } else if (strcmp(name, "AbstractText") == 0) {
        x->part = PART_TEXT;
        x->section = section_of(attribute(attributes, "Label"));
        x->begin = x->text->n;
    }
}

static void on_text(void *ctx, const char *p, int n)
{
    struct openi *x = ctx;

    if (x->failed || x->part == PART_NONE) return;
    x->failed = !sbuf_put(x->text, (struct str){p, (size_t)n}, &x->failure);
}

/* Two texts of one label become one: they stand one behind the other in the file too. */
static void on_end(void *ctx, const char *name)
{
    struct openi *x = ctx;
    struct record_span span = {(uint32_t)x->begin, (uint32_t)(x->text->n - x->begin)};

    if (x->failed || x->refused) return;
    x->depth--;
    if (x->part == PART_TITLE && strcmp(name, "ArticleTitle") == 0) {
        x->title = span;
    } else if (x->part == PART_TEXT && strcmp(name, "AbstractText") == 0) {
        if (x->section >= 0 && x->sections[x->section].length == 0) x->sections[x->section] = span;
    } else {
        return;
    }
    x->part = PART_NONE;
}

static void on_entity(void *ctx, const char *name, int parameter, const char *value, int n,
                      const char *base, const char *system, const char *public,
                      const char *notation)
{
    struct openi *x = ctx;

    (void)name, (void)parameter, (void)value, (void)n, (void)base, (void)system, (void)public;
    (void)notation;
    x->refused = true;
    XML_StopParser(x->parser, XML_FALSE);
}

/* ---- expat's memory */
static void *take(size_t n)
{
    struct err e = {0};
    return mem_alloc(n, &e);
}

static void *grow(void *p, size_t n)
{
    struct err e = {0};
    return mem_realloc(p, n, &e);
}

static struct str piece(const struct sbuf *b, struct record_span s)
{
    return s.length ? (struct str){b->p + s.offset, s.length} : STR("");
}

static void fill(const struct openi *x, struct format_item *out)
{
    *out = (struct format_item){.kind = ITEM_REPORT};
    out->in.split = -1;
    out->in.table = true;
    out->in.study = str_trim(piece(x->ids, x->id));
    out->in.description = str_trim(piece(x->text, x->title));
    for (int i = 0; i < SEC_COUNT; i++)
        out->in.section[i] = piece(x->text, x->sections[i]);
    if (str_trim(out->in.section[SEC_EXAMINATION]).n == 0)
        out->in.section[SEC_EXAMINATION] = out->in.description;
}

static bool one(struct format_scratch *s, const struct ingest_source_opts *source, struct str name,
                struct str text, struct format_item *out, struct err *e)
{
    const XML_Memory_Handling_Suite memory = {take, grow, mem_free};
    struct openi x = {.text = &s->text, .ids = &s->ids, .section = -1};
    bool ok = false;

    (void)source, (void)name;
    *out = (struct format_item){.kind = ITEM_REJECT, .reason = REJECT_FORMAT};
    sbuf_clear(&s->text);
    sbuf_clear(&s->ids);
    x.parser = XML_ParserCreate_MM(NULL, &memory, NULL);
    if (!x.parser) return err_set(e, ERR_NOMEM, "expat cannot start");
    XML_SetUserData(x.parser, &x);
    XML_SetElementHandler(x.parser, on_start, on_end);
    XML_SetCharacterDataHandler(x.parser, on_text);
    XML_SetEntityDeclHandler(x.parser, on_entity);
    if (text.n > INT32_MAX)
        out->reason = REJECT_TOO_LARGE;
    else if (XML_Parse(x.parser, text.p, (int)text.n, 1) == XML_STATUS_OK && !x.failed)
        fill(&x, out);
    if (x.failed && x.failure.code == ERR_NOMEM)
        *e = x.failure;
    else if (!x.failed && XML_GetErrorCode(x.parser) == XML_ERROR_NO_MEMORY)
        err_set(e, ERR_NOMEM, "expat has no memory");
    else
        ok = true; /* past a limit or ill-formed: it stays rejected */
    XML_ParserFree(x.parser);
    return ok;
}

static bool owns(struct str name, struct str last)
{
    (void)name;
    return format_ends(last, ".xml");
}

static bool looks(struct str head)
{
    head = str_trim(head);
    return str_starts(head, STR("<")) && str_find(head, STR("<eCitation"), 0) != SIZE_MAX;
}

const struct format format_openi = {.owns = owns, .looks = looks, .one = one};
