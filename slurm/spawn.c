#include "slurm/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

extern char **environ;

struct pipes {
    int in, out[2], err[2];
};

static void close_fd(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* The input lies in memory, so that writing it cannot block. */
static bool open_input(struct pipes *p, struct str input, struct err *e)
{
    p->in = memfd_create("input", MFD_CLOEXEC);
    if (p->in < 0) return err_sys(e, "cannot make a file in memory");
    for (size_t at = 0; at < input.n;) {
        ssize_t n = write(p->in, input.p + at, input.n - at);
        if (n < 0 && errno != EINTR) return err_sys(e, "cannot write a file in memory");
        if (n > 0) at += (size_t)n;
    }
    if (lseek(p->in, 0, SEEK_SET) != 0) return err_sys(e, "cannot rewind a file in memory");
    return true;
}

static bool open_pipes(struct pipes *p, struct err *e)
{
    if (pipe2(p->out, O_CLOEXEC) != 0 || pipe2(p->err, O_CLOEXEC) != 0)
        return err_sys(e, "cannot make a pipe");
    return true;
}

/* errno style: 0, or why it did not start. */
static int start(const char *const *argv, const struct pipes *p, pid_t *pid)
{
    posix_spawn_file_actions_t a;
    int rc = posix_spawn_file_actions_init(&a);
    if (rc != 0) return rc;
    rc = posix_spawn_file_actions_adddup2(&a, p->in, 0);
    if (rc == 0) rc = posix_spawn_file_actions_adddup2(&a, p->out[1], 1);
    if (rc == 0) rc = posix_spawn_file_actions_adddup2(&a, p->err[1], 2);
    /* argv is not changed: the cast is posix_spawn's old signature. */
    if (rc == 0) rc = posix_spawnp(pid, argv[0], &a, NULL, (char *const *)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&a);
    return rc;
}

/* Take what is there; false at the end of the stream. */
static bool take(int fd, struct sbuf *b)
{
    char buf[4096];
    struct err full = {0};
    ssize_t n = read(fd, buf, sizeof buf);
    if (n < 0) return errno == EINTR || errno == EAGAIN;
    if (n == 0) return false;
    if (!sbuf_put(b, (struct str){buf, (size_t)n}, &full)) err_clear(&full); /* cut */
    return true;
}

static bool drain(struct pipes *p, double until_s, struct spawn_result *r)
{
    struct pollfd fds[2] = {{p->out[0], POLLIN, 0}, {p->err[0], POLLIN, 0}};
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        double left = until_s - clock_mono_s();
        if (left <= 0) return false;
        if (poll(fds, 2, (int)(left * 1000) + 1) < 0 && errno != EINTR) return false;
        if (fds[0].revents && !take(fds[0].fd, &r->out)) fds[0].fd = -1;
        if (fds[1].revents && !take(fds[1].fd, &r->err)) fds[1].fd = -1;
        fds[0].revents = fds[1].revents = 0;
    }
    return true;
}

static bool reap(const char *name, pid_t pid, struct spawn_result *r, struct err *e)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return err_sys(e, "cannot wait for %s", name);
    r->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}

bool spawn_run(const char *const *argv, struct str input, double limit_s, struct spawn_result *r,
               struct err *e)
{
    struct pipes p = {-1, {-1, -1}, {-1, -1}};
    pid_t pid = 0;
    bool ok = false;

    *r = (struct spawn_result){0};
    sbuf_init(&r->out, SPAWN_OUTPUT_MAX);
    sbuf_init(&r->err, SPAWN_OUTPUT_MAX);
    if (!open_input(&p, input, e) || !open_pipes(&p, e)) goto out;
    errno = start(argv, &p, &pid);
    ok = errno == ENOENT;
    if (errno != 0) {
        if (!ok) err_sys(e, "cannot start %s", argv[0]);
        goto out;
    }
    r->found = true;
    close_fd(&p.out[1]);
    close_fd(&p.err[1]);
    bool ended = drain(&p, clock_mono_s() + limit_s, r);
    if (!ended) kill(pid, SIGKILL);
    ok = reap(argv[0], pid, r, e);
    if (ok && !ended) ok = err_set(e, ERR_IO, "%s did not answer within %.0f s", argv[0], limit_s);
out:
    close_fd(&p.in);
    close_fd(&p.out[0]);
    close_fd(&p.out[1]);
    close_fd(&p.err[0]);
    close_fd(&p.err[1]);
    return ok;
}

void spawn_free(struct spawn_result *r)
{
    sbuf_free(&r->err);
    sbuf_free(&r->out);
}
