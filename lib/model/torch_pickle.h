/*
 * model/torch_pickle - the inside of torch_bin: pickles to dictionaries of tensors, without running
 * anything (see model/torch_bin.h for what is understood).
 *
 * A machine holds what several pickles of one file share: the storages they name. Values live in
 * its arena; a list or dictionary may hold itself, so nobody walks values recursively.
 */
#pragma once
#include "base/arena.h"
#include "model/dtype.h"
#include "model/safetensors.h"

enum pickle_kind {
    PICKLE_NONE,
    PICKLE_MARK,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_LONG, /* bytes in .s, more than 8 */
    PICKLE_FLOAT,
    PICKLE_STR,
    PICKLE_GLOBAL,
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_DICT,
    PICKLE_STORAGE,
    PICKLE_TENSOR
};
enum pickle_global { GLOBAL_DICT, GLOBAL_TENSOR, GLOBAL_PARAMETER, GLOBAL_STORAGE };

struct pickle_value;
struct pickle_item { /* of a list (key unset) or dictionary */
    struct str key;
    const struct pickle_value *v;
    struct pickle_item *next;
};
struct pickle_storage {
    struct str key;
    enum dtype dtype;
    uint64_t count;
    const uint8_t *data; /* filled in by the container */
};
struct pickle_tensor {
    size_t storage; /* number in the machine */
    uint64_t offset, dims[SAFETENSORS_MAX_DIMS], strides[SAFETENSORS_MAX_DIMS];
    uint32_t ndims;
};
struct pickle_value {
    enum pickle_kind kind;
    union {
        int64_t i; /* INT, BOOL */
        struct str s;
        struct {
            enum pickle_global what;
            enum dtype dtype;
        } global;
        struct {
            const struct pickle_value **v;
            size_t n;
        } tuple;
        struct {
            struct pickle_item *first, *last;
        } items;
        size_t storage;
        struct pickle_tensor *tensor;
    };
};

struct pickle {
    struct arena arena;
    const char *what;
    struct pickle_storage *storages;
    size_t nstorages, cap_storages;
    uint32_t *table; /* storages by key: number + 1, 0 where free */
    const struct pickle_value **stack, **memo;
    size_t depth, cap_stack, nmemo, cap_memo;
    const uint8_t *p, *end, *start;
};
void pickle_init(struct pickle *m, const char *what);
void pickle_free(struct pickle *m);
/* Read one pickle from m->p; *out is what it leaves, and m->p stands behind it. */
MUST_CHECK bool pickle_read(struct pickle *m, const uint8_t *p, size_t n,
                            const struct pickle_value **out, struct err *e);
/* The storage of this key, or NULL. */
struct pickle_storage *pickle_storage_find(const struct pickle *m, struct str key);
/* Value of a text key of a dictionary, or NULL. */
const struct pickle_value *pickle_get(const struct pickle_value *dict, const char *key);
