/*
 * base/err - what went wrong, stored inline, passed by the caller.
 *
 * A function that can fail returns bool and takes `struct err *e` last, never NULL. err_set records
 * the first cause and returns false, so that `return err_set(e, ...)` reads well; callers put the
 * context in front with err_wrap. Messages are lower case, without a full stop, name file and entry
 * and never carry report text or a patient, study or accession number.
 *
 * A struct err starts zeroed (`struct err e = {0}`); it owns nothing and needs no release.
 */
#pragma once
#include <stdbool.h>

#include "base/check.h"

enum err_code {
    ERR_NONE,
    ERR_IO,       /* the file system or a pipe said no */
    ERR_FORMAT,   /* input is not what its format promises */
    ERR_LIMIT,    /* a stated limit was passed */
    ERR_NOMEM,    /* allocation failed */
    ERR_CONFIG,   /* options, configuration: exit code 2 */
    ERR_LIB,      /* a library or device failed */
    ERR_DIVERGED, /* training left the finite numbers */
    ERR_STOPPED,  /* asked to stop; state is saved: exit code 75 */
};

struct err {
    enum err_code code;
    int rank;       /* where it happened; set by comm_agree, 0 before */
    char text[492]; /* NUL-terminated, cut with "..." when longer */
};

/* Record the first cause. CHECKs that e is clean. Always returns false. */
bool err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* As err_set with ": strerror(errno)" appended; ENOMEM becomes ERR_NOMEM. */
bool err_sys(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Put "context: " in front of the text. e must hold an error. Always returns false. */
bool err_wrap(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Forget the error (the caller dealt with it). */
void err_clear(struct err *e);
/* "io", "format", ... for logs. */
const char *err_code_name(enum err_code code);

#ifdef __clang_analyzer__
/* The analyser does not look into err.c: it would follow paths on which a failure returned true. */
#define err_set(...)  ((void)(err_set)(__VA_ARGS__), false)
#define err_sys(...)  ((void)(err_sys)(__VA_ARGS__), false)
#define err_wrap(...) ((void)(err_wrap)(__VA_ARGS__), false)
#endif
