#include "compute/dev_plugin.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/threads.h"

/* Said once by the program, read by dev_open. */
static struct dev_place place;
static char plugin_path[PATH_MAX];
static const struct dev_plugin *loaded;

void dev_set_place(const struct dev_place *p)
{
    place = *p;
    place.plugin = NULL;
    if (!p->plugin || !p->plugin[0]) return;
    snprintf(plugin_path, sizeof plugin_path, "%s", p->plugin);
    place.plugin = plugin_path;
}

uint32_t dev_host_threads(void)
{
    return threads_default(place.local_size > 1 ? (uint32_t)place.local_size : 1);
}

const struct dev_place *dev_plugin_place(void)
{
    return &place;
}

bool dev_plugin_sees_gpu(void)
{
    /* the driver's files; /dev/dxg: Windows' subsystem for Linux */
    static const char *const files[] = {"/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg"};

    if (place.gpus == DEV_GPUS_HIDDEN) return false;
    if (place.gpus == DEV_GPUS_GIVEN) return true;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (access(files[i], F_OK) == 0) return true;
    return false;
}

/* The folder of this program, without the last slash. */
static bool own_folder(char *out, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    if (n <= 0) return false;
    out[n] = '\0';
    char *slash = strrchr(out, '/');
    if (!slash) return false;
    *slash = '\0';
    return true;
}

/* The first of the usual places that has the file. */
static bool find_plugin(char *out, size_t size, struct err *e)
{
    static const char *const beside[] = {"", "/../lib/radmill"};
    char folder[PATH_MAX];

    if (place.plugin) {
        snprintf(out, size, "%s", place.plugin);
        if (access(out, R_OK) == 0) return true;
        return err_sys(e, "the CUDA plug-in %s", out);
    }
    if (!own_folder(folder, sizeof folder)) return err_sys(e, "/proc/self/exe");
    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
        int n = snprintf(out, size, "%s%s/radmill_cuda.so", folder, beside[i]);
        if (n > 0 && (size_t)n < size && access(out, R_OK) == 0) return true;
    }
    return err_set(e, ERR_CONFIG,
                   "no CUDA plug-in: radmill_cuda.so is neither in %s nor in ../lib/radmill from "
                   "there; cmake --preset cuda builds it",
                   folder);
}

static bool check_plugin(const struct dev_plugin *p, const char *path, struct err *e)
{
    const struct dev_plugin mine = {DEV_PLUGIN_HEAD};
    if (p->abi == mine.abi && p->ops_count == mine.ops_count && p->dev_bytes == mine.dev_bytes &&
        p->call_bytes == mine.call_bytes && p->buf_bytes == mine.buf_bytes &&
        p->err_bytes == mine.err_bytes)
        return true;
    return err_set(e, ERR_CONFIG, "%s was built for another version of radmill (%u, not %u)", path,
                   p->abi, mine.abi);
}

const struct dev_plugin *dev_plugin_load(struct err *e)
{
    char path[PATH_MAX];
    const struct dev_plugin *p = NULL;
    void *so, *symbol = NULL;

    if (loaded) return loaded;
    if (!find_plugin(path, sizeof path, e)) return NULL;
    so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (so) symbol = dlsym(so, DEV_PLUGIN_SYMBOL);
    if (!symbol) {
        err_set(e, ERR_CONFIG, "the CUDA plug-in does not load: %s", dlerror());
    } else {
        dev_plugin_fn *get;
        memcpy(&get, &symbol, sizeof get); /* ISO C knows no cast from data to function */
        p = get();
        if (!check_plugin(p, path, e)) p = NULL;
    }
    if (!p && so) dlclose(so);
    loaded = p;
    return p;
}

int dev_count_gpus(char *why, size_t size)
{
    struct err e = {0};
    const struct dev_plugin *p = dev_plugin_load(&e);

    if (p) return p->count(why, size);
    snprintf(why, size, "%s", e.text);
    return 0;
}
