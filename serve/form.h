/*
 * serve/form - application/x-www-form-urlencoded bodies, as browsers without JavaScript post them;
 * escapes of paths.
 *
 * Values are unescaped into the arena and are valid UTF-8; CR LF becomes LF, as in a text area.
 * A name may come several times. Not for multipart bodies.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum { FORM_FIELDS_MAX = 64 };
struct form {
    struct {
        struct str name, value;
    } field[FORM_FIELDS_MAX];
    size_t n;
};
/* ERR_FORMAT: an escape is broken, or the text is not UTF-8; ERR_LIMIT: too many fields. */
MUST_CHECK bool form_parse(struct str body, struct arena *a, struct form *out, struct err *e);
/* A part of a URL's path without its escapes; ERR_FORMAT as above. */
MUST_CHECK bool form_path(struct str part, struct arena *a, struct str *out, struct err *e);
/* The first value of this name, empty when there is none. */
struct str form_get(const struct form *f, const char *name);
