#include "train/tensorboard.h"

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"

enum { MESSAGE_BYTES = 1 << 16 };

/* ---- protobuf */
static bool put_varint(struct sbuf *b, uint64_t v, struct err *e)
{
    for (; v >= 0x80; v >>= 7)
        if (!sbuf_putc(b, (char)(v | 0x80), e)) return false;
    return sbuf_putc(b, (char)v, e);
}

static bool put_tag(struct sbuf *b, uint32_t field, uint32_t wire, struct err *e)
{
    return put_varint(b, field << 3 | wire, e);
}

static bool put_le(struct sbuf *b, uint64_t v, size_t bytes, struct err *e)
{
    for (size_t i = 0; i < bytes; i++)
        if (!sbuf_putc(b, (char)(v >> 8 * i), e)) return false;
    return true;
}

static bool put_double(struct sbuf *b, uint32_t field, double x, struct err *e)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return put_tag(b, field, 1, e) && put_le(b, bits, 8, e);
}

static bool put_float(struct sbuf *b, uint32_t field, float x, struct err *e)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return put_tag(b, field, 5, e) && put_le(b, bits, 4, e);
}

static bool put_bytes(struct sbuf *b, uint32_t field, struct str s, struct err *e)
{
    return put_tag(b, field, 2, e) && put_varint(b, s.n, e) && sbuf_put(b, s, e);
}

/* ---- TFRecord */
static uint32_t masked_crc(const void *p, size_t n)
{
    uint32_t crc = hash_crc32c(0, p, n);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static bool put_record(struct fs_writer *w, struct str data, struct err *e)
{
    uint8_t head[12], tail[4];
    uint64_t n = data.n;

    for (int i = 0; i < 8; i++)
        head[i] = (uint8_t)(n >> 8 * i);
    uint32_t crc = masked_crc(head, 8);
    for (int i = 0; i < 4; i++)
        head[8 + i] = (uint8_t)(crc >> 8 * i);
    crc = masked_crc(data.p, data.n);
    for (int i = 0; i < 4; i++)
        tail[i] = (uint8_t)(crc >> 8 * i);
    return fs_writer_put(w, head, sizeof head, e) && fs_writer_put(w, data.p, data.n, e) &&
           fs_writer_put(w, tail, sizeof tail, e);
}

/* ---- events */
struct scratch {
    struct sbuf event, summary, value, tag;
};

static bool put_scalar(struct scratch *s, struct str kind, const char *key, double x, struct err *e)
{
    sbuf_clear(&s->value);
    sbuf_clear(&s->tag);
    return sbuf_printf(&s->tag, e, "%.*s/%s", STR_ARG(kind), key) &&
           put_bytes(&s->value, 1, sbuf_str(&s->tag), e) && put_float(&s->value, 2, (float)x, e) &&
           put_bytes(&s->summary, 1, sbuf_str(&s->value), e);
}

static bool event_of(struct scratch *s, json_t *line, struct err *e)
{
    struct str kind;
    uint64_t step;
    double time;
    const char *key;
    json_t *v;

    if (!json_get_str(line, "kind", &kind, e) || !json_get_u64(line, "step", &step, e) ||
        !json_get_f64(line, "time", &time, e))
        return false;
    sbuf_clear(&s->summary);
    json_object_foreach(line, key, v)
    {
        if (!json_is_number(v) || strcmp(key, "step") == 0 || strcmp(key, "time") == 0) continue;
        if (!put_scalar(s, kind, key, json_number_value(v), e)) return false;
    }
    sbuf_clear(&s->event);
    return put_double(&s->event, 1, time, e) && put_tag(&s->event, 2, 0, e) &&
           put_varint(&s->event, step, e) && put_bytes(&s->event, 5, sbuf_str(&s->summary), e);
}

static bool put_events(struct fs_writer *w, struct str text, const char *name, struct err *e)
{
    struct scratch s;
    struct str line;
    size_t number = 0;
    bool ok = false;

    sbuf_init(&s.event, MESSAGE_BYTES);
    sbuf_init(&s.summary, MESSAGE_BYTES);
    sbuf_init(&s.value, MESSAGE_BYTES);
    sbuf_init(&s.tag, MESSAGE_BYTES);
    if (!put_double(&s.event, 1, 0, e) || !put_bytes(&s.event, 3, STR("brain.Event:2"), e))
        goto out;
    if (!put_record(w, sbuf_str(&s.event), e)) goto out;
    while (str_split(&text, '\n', &line)) {
        json_t *j = NULL;
        number++;
        if (line.n == 0) continue;
        ok = json_parse(line, name, &j, e) && event_of(&s, j, e) &&
             put_record(w, sbuf_str(&s.event), e);
        json_decref(j);
        if (!ok) {
            err_wrap(e, "%s line %zu", name, number);
            goto out;
        }
    }
    ok = true;
out:
    sbuf_free(&s.tag);
    sbuf_free(&s.value);
    sbuf_free(&s.summary);
    sbuf_free(&s.event);
    return ok;
}

bool tensorboard_remake(const char *metrics_path, const char *event_path, struct err *e)
{
    struct fs_map map = {0};
    struct fs_writer *w = NULL;
    bool ok = false;

    if (!fs_map_open(metrics_path, &map, e)) goto out;
    if (!fs_writer_open(event_path, &w, e)) goto out;
    if (!put_events(w, (struct str){(const char *)map.p, map.n}, metrics_path, e)) goto out;
    ok = fs_writer_commit(w, e);
out:
    fs_writer_close(w);
    fs_map_close(&map);
    if (!ok) err_wrap(e, "TensorBoard events");
    return ok;
}
