#include "shard/field_text.h"

#include "shard/plain_text.h"
#include "text/clean.h"

static const enum record_section section_of[PROMPT_READER] = {
    [PROMPT_CLINICAL] = SEC_CLINICAL,       [PROMPT_FINDINGS] = SEC_FINDINGS,
    [PROMPT_EXAMINATION] = SEC_EXAMINATION, [PROMPT_TECHNIQUE] = SEC_TECHNIQUE,
    [PROMPT_COMPARISON] = SEC_COMPARISON,   [PROMPT_BACKGROUND] = SEC_BACKGROUND,
};

static bool clean(const struct record *r, enum record_section section, struct sbuf *out,
                  struct err *e)
{
    const struct record_span *span = &r->section[section];
    struct str s = str_sub(r->text, span->offset, (size_t)span->offset + span->length);

    sbuf_clear(out);
    if (s.n == 0) return true;
    if (r->mode == MODE_OWN) {
        bool plain;
        return plain_clean(s, out, &plain, e) && (plain || clean_own(s, out, e));
    }
    if (section == SEC_IMPRESSION) return clean_mediqa_impression(s, out, e);
    if (section == SEC_BACKGROUND) return clean_mediqa_background(s, out, e);
    return clean_mediqa_findings(s, out, e);
}

bool field_text(const struct record *r, enum prompt_field field, struct sbuf *out, struct err *e)
{
    if (field != PROMPT_READER) return clean(r, section_of[field], out, e);
    sbuf_clear(out);
    return r->reader == 0 || sbuf_printf(out, e, "%06x", (unsigned)(r->reader >> 40));
}

bool field_text_target(const struct record *r, struct sbuf *out, struct err *e)
{
    return clean(r, SEC_IMPRESSION, out, e);
}
