/*
 * radmill - one program, one subcommand a stage. main sets up the process (locale, signals, faults,
 * ranks), runs the row of cmd_list, prints the one error line and turns it into the exit code.
 */
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/stop.h"
#include "cli/build_info.h"
#include "cli/cmd.h"
#include "comm/hang.h"
#include "compute/dev.h"
#include "slurm/slurm.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_REQUEUE = 75 };
enum { ARENA_CAP_BYTES = 1 << 30, HANG_WORDS_S = 30 };

static void on_stop_signal(int sig)
{
    (void)sig;
    stop_request();
}

static void set_signals(void)
{
    struct sigaction a = {.sa_handler = on_stop_signal, .sa_flags = SA_RESTART};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigemptyset(&a.sa_mask);
    sigaction(SIGTERM, &a, NULL);
    sigaction(SIGUSR1, &a, NULL);
    sigaction(SIGUSR2, &a, NULL);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

/* libarchive hands out no UTF-8 member names in the C locale; only LC_CTYPE, so numbers keep their
 * point. */
static bool set_locale(struct err *e)
{
    if (setlocale(LC_CTYPE, "C.UTF-8") || setlocale(LC_CTYPE, "en_US.UTF-8")) return true;
    return err_set(e, ERR_CONFIG, "neither locale C.UTF-8 nor en_US.UTF-8 is installed");
}

static int exit_code(const struct err *e)
{
    switch (e->code) {
    case ERR_NONE:
        return EXIT_DONE;
    case ERR_CONFIG:
        return EXIT_USAGE;
    case ERR_STOPPED:
        return EXIT_REQUEUE;
    default:
        return EXIT_FAILED;
    }
}

static void report(const struct cmd_call *call)
{
    if (call->err.code == ERR_NONE || (call->comm && comm_rank(call->comm) != 0)) return;
    if (call->err.code == ERR_STOPPED)
        fprintf(stderr, "radmill: %s\n", call->err.text);
    else if (call->err.rank > 0)
        fprintf(stderr, "radmill: error (rank %d): %s\n", call->err.rank, call->err.text);
    else
        fprintf(stderr, "radmill: error: %s\n", call->err.text);
}

/* The job script that started us asks how we ended; a rank that was killed leaves nothing. */
static void leave_result(const struct cmd_call *call, const struct err *how, int code)
{
    const char *path = getenv("RADMILL_RESULT");
    struct err e = {0};

    if (!path || !path[0] || (call->comm && comm_rank(call->comm) != 0)) return;
    if (!slurm_result_write(path, code, how, &e)) fprintf(stderr, "radmill: %s\n", e.text);
}

/* From the thread that watches for hanging ranks: the main thread cannot, so this ends the process.
 * The launcher ends the others. */
static void on_hang(const struct err *how)
{
    const char *path = getenv("RADMILL_RESULT");
    struct err e = {0};

    alarm(HANG_WORDS_S); /* what hangs may be the file system of the result */
    if (path && path[0] && fs_exists(path)) _exit(HANG_EXIT); /* another rank spoke first */
    if (how->rank < 0)
        fprintf(stderr, "radmill: error: %s\n", how->text);
    else
        fprintf(stderr, "radmill: error (rank %d): %s\n", how->rank, how->text);
    if (path && path[0] && !slurm_result_write(path, HANG_EXIT, how, &e))
        fprintf(stderr, "radmill: %s\n", e.text);
    _exit(HANG_EXIT);
}

/* Where this process stands, for device "cuda": the job's word on GPUs is CUDA_VISIBLE_DEVICES
 * (empty or -1 hides them) or SLURM's. */
static void place_devices(const struct comm *c)
{
    const char *visible = getenv("CUDA_VISIBLE_DEVICES"), *slurm = getenv("SLURM_JOB_GPUS");
    struct dev_place p = {.plugin = getenv("RADMILL_CUDA_PLUGIN"),
                          .local_rank = comm_local_rank(c),
                          .local_size = comm_local_size(c)};

    if (slurm && slurm[0]) p.gpus = DEV_GPUS_GIVEN;
    if (visible) {
        bool none = !visible[0] || str_eqz(str_of(visible), "-1");
        p.gpus = none ? DEV_GPUS_HIDDEN : DEV_GPUS_GIVEN;
    }
    dev_set_place(&p);
}

static bool run(struct cmd_call *call, int *argc, char ***argv)
{
    const char *fault = getenv("RADMILL_FAULT");

    if (!set_locale(&call->err)) return false;
    if (fault && !fault_arm_spec(fault, &call->err)) return false;
    if (!cmd_parse(call, *argc - 2, *argv + 2)) return false;
    if (call->cmd->ranks) {
        if (!comm_open(argc, argv, &call->comm, &call->err)) return false;
    } else if (!comm_open_self(&call->comm, &call->err)) {
        return false;
    }
    log_setup(LOG_INFO, comm_rank(call->comm));
    place_devices(call->comm);
    return call->cmd->run(call);
}

/* Where the answer is the result it must arrive; results of stages are in files. A reader that has
 * seen enough (| head) is fine. */
static void check_answer(struct cmd_call *call)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    bool arrived = fflush(stdout) == 0 && !ferror(stdout);

    if (arrived || call->cmd->ranks || call->err.code != ERR_NONE) return;
    if (poll(&out, 1, 0) == 1 && (out.revents & POLLERR)) return; /* nobody reads any more */
    err_set(&call->err, ERR_IO, "standard output did not take the whole answer (a full disk?)");
}

static int print_version(void)
{
    printf("radmill %s (%s)\n", build_info_version, build_info_commit);
    return EXIT_DONE;
}

int main(int argc, char **argv)
{
    struct cmd_call call = {0};
    const char *name = argc > 1 ? argv[1] : "help";

    fs_hold_standard_files();
    if (str_eqz(str_of(name), "--version")) return print_version();
    if (str_eqz(str_of(name), "--help") || str_eqz(str_of(name), "-h")) name = "help";
    call.cmd = cmd_find(name);
    if (!call.cmd) {
        cmd_unknown(name, &call.err);
        report(&call);
        return EXIT_USAGE;
    }
    set_signals();
    hang_handler(on_hang);
    arena_init(&call.arena, ARENA_CAP_BYTES);
    if (argc < 2) argc = 2;
    bool ok = run(&call, &argc, &argv);
    hang_release();
    CHECK(ok == (call.err.code == ERR_NONE));
    check_answer(&call);
    report(&call);
    leave_result(&call, &call.err, exit_code(&call.err));
    comm_close(call.comm);
    log_close();
    arena_free(&call.arena);
    return exit_code(&call.err);
}
