/* Dtypes and views: what the program and a plug-in share. */
#include "compute/dev.h"

const char *const dev_dtype_names[DEV_DTYPES + 1] = {"f32", "bf16", "i32", "i64", "u8", NULL};

size_t dev_dtype_bytes(enum dev_dtype t)
{
    static const size_t bytes[DEV_DTYPES] = {4, 2, 4, 8, 1};
    return bytes[t];
}

struct dev_mat dev_mat_of(struct dev_buf *b, size_t offset, enum dev_dtype t, uint32_t rows,
                          uint32_t cols)
{
    return (struct dev_mat){b, offset, t, rows, cols, cols};
}

struct dev_mat dev_mat_part(struct dev_mat m, uint32_t r0, uint32_t rows, uint32_t c0,
                            uint32_t cols)
{
    CHECK((uint64_t)r0 + rows <= m.rows && (uint64_t)c0 + cols <= m.cols);
    m.offset += (size_t)r0 * m.ld + c0;
    m.rows = rows;
    m.cols = cols;
    return m;
}
