/* dev_sample where the device has no kernel for it: a download, the host's choice, an upload. */
#include "base/mem.h"
#include "compute/dev_ops.h"

/* Candidates and one row; kept with the device. */
static bool host_room(struct dev *d, uint32_t vocab, struct err *e)
{
    if (vocab <= d->draw_vocab) return true;
    mem_free(d->draw_room);
    d->draw_vocab = 0;
    d->draw_room = mem_calloc(vocab, sizeof *d->draw_room + sizeof(float), e);
    if (d->draw_room) d->draw_vocab = vocab;
    return d->draw_room != NULL;
}

bool dev_sample_composed(struct dev *d, struct dev_mat logits, const struct dev_draw *draws,
                         struct dev_mat out, struct err *e)
{
    if (!host_room(d, logits.cols, e)) return false;
    float *row = (float *)(void *)(d->draw_room + logits.cols);
    for (uint32_t i = 0; i < logits.rows; i++) {
        size_t at = (logits.offset + (size_t)i * logits.ld) * sizeof *row;
        if (!dev_download(d, logits.buf, at, row, logits.cols * sizeof *row, e)) return false;
        int32_t id = (int32_t)dev_draw_host(&draws[i], row, logits.cols, d->draw_room);
        if (!dev_upload(d, out.buf, (out.offset + i) * sizeof id, &id, sizeof id, e)) return false;
    }
    return true;
}
