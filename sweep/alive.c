#include "sweep/alive.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"

enum { PROC_MAX = 4096 };

/* A small file of /proc; they have no size, so fs_read_file is no help. */
static bool read_proc(const char *path, char out[PROC_MAX])
{
    struct err ignored = {0};
    struct fs_file f;
    ssize_t n;

    out[0] = 0;
    if (!fs_file_open(path, &f, &ignored)) return false;
    n = pread(f.fd, out, PROC_MAX - 1, 0);
    fs_file_close(&f);
    out[n > 0 ? n : 0] = 0;
    return n > 0;
}

/* Field 22 of /proc/PID/stat, counted behind the name's ')'. 0: no such process. */
static uint64_t start_of(long pid)
{
    char path[64], text[PROC_MAX];
    struct err ignored = {0};
    struct str rest, word;
    uint64_t v = 0;

    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    if (!read_proc(path, text)) return 0;
    const char *behind = strrchr(text, ')');
    if (!behind) return 0;
    if (behind[1] != ' ' || behind[2] == 'Z' || behind[2] == 'X') return 0; /* dead, not reaped */
    rest = str_of(behind + 2);
    for (int field = 3; str_split(&rest, ' ', &word); field++)
        if (field == 22) return parse_u64(word, &v, &ignored) ? v : 0;
    return 0;
}

static void machine(char *out, size_t size)
{
    char boot[PROC_MAX], space[64] = "";
    ssize_t n = readlink("/proc/self/ns/pid", space, sizeof space - 1);

    space[n > 0 ? n : 0] = 0;
    if (!read_proc("/proc/sys/kernel/random/boot_id", boot)) boot[0] = 0;
    struct str id = str_trim(str_of(boot));
    snprintf(out, size, "%.*s %s", (int)(id.n < 64 ? id.n : 64), id.p ? id.p : "", space);
}

bool alive_put(const char *name, const char *job, struct sbuf *b, struct err *e)
{
    char host[65] = "", here[160];

    if (gethostname(host, sizeof host - 1) != 0) host[0] = 0;
    machine(here, sizeof here);
    return sbuf_put(b, STR("{\"worker\": "), e) && json_put_str(b, str_of(name), true, e) &&
           sbuf_put(b, STR(", \"host\": "), e) && json_put_str(b, str_of(host), true, e) &&
           sbuf_put(b, STR(", \"machine\": "), e) && json_put_str(b, str_of(here), true, e) &&
           sbuf_printf(b, e, ", \"pid\": %ld, \"started\": %llu, \"job\": ", (long)getpid(),
                       (unsigned long long)start_of((long)getpid())) &&
           json_put_str(b, str_of(job ? job : ""), true, e) && sbuf_put(b, STR("}\n"), e);
}

void alive_read(struct str card, struct alive_card *out)
{
    struct err ignored = {0};
    json_t *j = NULL;
    struct str where, job;
    uint64_t pid, started;
    char here[160];

    *out = (struct alive_card){.state = ALIVE_ELSEWHERE};
    if (!json_parse(card, "a worker's card", &j, &ignored)) return;
    if (!json_get_str(j, "machine", &where, &ignored) || !json_get_str(j, "job", &job, &ignored) ||
        !json_get_u64(j, "pid", &pid, &ignored) || !json_get_u64(j, "started", &started, &ignored))
        goto out;
    snprintf(out->job, sizeof out->job, "%.*s", (int)(job.n < 127 ? job.n : 127), job.p);
    machine(here, sizeof here);
    if (started == 0 || !str_eqz(where, here)) goto out;
    out->state = start_of((long)pid) == started ? ALIVE_HERE : ALIVE_GONE;
out:
    json_decref(j);
}

bool alive_random(uint64_t *out, struct err *e)
{
    ssize_t n;
    do
        n = getrandom(out, sizeof *out, 0);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *out || err_sys(e, "cannot get random bytes");
}
