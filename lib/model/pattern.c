#include "model/pattern.h"

#include <stdio.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/mem.h"

enum { MAX_TEXT = 1000, MAX_STEPS = 1000000, MAX_SHOWN = 60 };

struct pattern {
    pcre2_code *code; /* NULL: a plain name */
    pcre2_match_data *data;
    pcre2_match_context *limits;
    char *text;
};

static bool is_plain(const char *text)
{
    return strpbrk(text, "^$*+?()[]{}|\\") == NULL;
}

static bool compile(struct pattern *p, const char *text, enum pattern_kind kind, struct err *e)
{
    char full[MAX_TEXT + 32];
    int code;
    PCRE2_SIZE at;
    snprintf(full, sizeof full, kind == PATTERN_KEY ? "\\A(?:.*\\.)?(?:%s)\\z" : "\\A(?:%s)\\z",
             text);
    p->code = pcre2_compile((PCRE2_SPTR)full, PCRE2_ZERO_TERMINATED, PCRE2_NEVER_BACKSLASH_C, &code,
                            &at, NULL);
    if (!p->code)
        return err_set(e, ERR_CONFIG, "pattern %.*s is no regular expression", MAX_SHOWN, text);
    p->data = pcre2_match_data_create_from_pattern(p->code, NULL);
    p->limits = pcre2_match_context_create(NULL);
    if (!p->data || !p->limits) return err_set(e, ERR_NOMEM, "pattern %.*s", MAX_SHOWN, text);
    pcre2_set_match_limit(p->limits, MAX_STEPS);
    return true;
}

bool pattern_open(const char *text, enum pattern_kind kind, struct pattern **out, struct err *e)
{
    struct pattern *p;
    if (strlen(text) == 0 || strlen(text) > MAX_TEXT)
        return err_set(e, ERR_LIMIT, "a module pattern has 1 to %d bytes", MAX_TEXT);
    p = mem_calloc(1, sizeof *p, e);
    if (!p) return false;
    p->text = mem_strdup(text, e);
    if (!p->text || ((kind == PATTERN_KEY || !is_plain(text)) && !compile(p, text, kind, e))) {
        pattern_close(p);
        return false;
    }
    *out = p;
    return true;
}

void pattern_close(struct pattern *p)
{
    if (!p) return;
    pcre2_match_context_free(p->limits);
    pcre2_match_data_free(p->data);
    pcre2_code_free(p->code);
    mem_free(p->text);
    mem_free(p);
}

static bool is_tail(const char *name, const char *path)
{
    size_t n = strlen(path), k = strlen(name);
    return k <= n && strcmp(path + n - k, name) == 0 && (k == n || path[n - k - 1] == '.');
}

bool pattern_matches(const struct pattern *p, const char *path, bool *out, struct err *e)
{
    int r;
    if (!p->code) {
        *out = is_tail(p->text, path);
        return true;
    }
    r = pcre2_match(p->code, (PCRE2_SPTR)path, strlen(path), 0, 0, p->data, p->limits);
    *out = r >= 0;
    if (r >= 0 || r == PCRE2_ERROR_NOMATCH) return true;
    return err_set(e, ERR_LIMIT, "pattern %.*s takes too long to match", MAX_SHOWN, p->text);
}
