/*
 * base/fs - files that are there whole or not at all.
 *
 * Writing goes to a temporary name in the same folder, is flushed and fsynced, then renamed, then
 * the folder is fsynced (fs_writer_commit). What was not committed is removed by fs_writer_close; a
 * crash leaves only "*.tmp.*" names, which no reader looks at and fs_gc_tmp removes. Files are
 * created 0600, folders 0700, whatever the umask (fs_set_access widens them for the group:
 * files.access). Every system call that can fail has a fault point.
 *
 * Nothing here reads or writes through a member path of an archive: such names are data.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum fs_access { FS_PRIVATE, FS_GROUP_READ }; /* 0600/0700 or 0640/0750 */
void fs_set_access(enum fs_access a);
/* At the start of a process: /dev/null in place of standard files that are closed. A file opened
 * there would get what is printed and logged. */
void fs_hold_standard_files(void);

/* ---- whole files */
/* Read the file into the arena (NUL-terminated behind n). Longer than max_bytes is ERR_LIMIT. */
MUST_CHECK bool fs_read_file(const char *path, size_t max_bytes, struct arena *a, struct str *out,
                             struct err *e);
/* Atomically replace path by data. */
MUST_CHECK bool fs_replace(const char *path, struct str data, struct err *e);
/* The same, but a file that has these bytes already is not touched. */
MUST_CHECK bool fs_replace_changed(const char *path, struct str data, struct err *e);

/* ---- streaming writer with atomic commit */
struct fs_writer;
/* A link is followed, and stays. What is there and no regular file (device, folder) is ERR_IO. */
MUST_CHECK bool fs_writer_open(const char *path, struct fs_writer **out, struct err *e);
MUST_CHECK bool fs_writer_put(struct fs_writer *w, const void *p, size_t n, struct err *e);
/* Bytes put so far. */
uint64_t fs_writer_bytes(const struct fs_writer *w);
/* Flush, fsync, rename, fsync folder. After success or failure only fs_writer_close may follow. */
MUST_CHECK bool fs_writer_commit(struct fs_writer *w, struct err *e);
void fs_writer_close(struct fs_writer *w); /* drops the file unless committed */

/* ---- reading at offsets */
struct fs_file {
    int fd;
    uint64_t size_bytes;
};
MUST_CHECK bool fs_file_open(const char *path, struct fs_file *out, struct err *e);
/* Exactly n bytes at offset; a short file is ERR_FORMAT. */
MUST_CHECK bool fs_file_read(const struct fs_file *f, uint64_t offset, void *p, size_t n,
                             struct err *e);
void fs_file_close(struct fs_file *f);

/* Read-only memory map of a whole file; empty files map to {NULL, 0}. */
struct fs_map {
    const uint8_t *p;
    size_t n;
};
MUST_CHECK bool fs_map_open(const char *path, struct fs_map *out, struct err *e);
/* What lies in [from, to) is not needed soon: its pages no longer count as this process's memory.
 * Reading it again is allowed and reads the file again. */
void fs_map_drop(const struct fs_map *m, size_t from, size_t to);
void fs_map_close(struct fs_map *m);

/* ---- append-only log files (JSONL): one write(2) a line, fsync on demand */
struct fs_append;
/* Opens or creates; a last line without newline (a crash) is cut off first. */
MUST_CHECK bool fs_append_open(const char *path, struct fs_append **out, struct err *e);
MUST_CHECK bool fs_append_line(struct fs_append *f, struct str line, struct err *e);
MUST_CHECK bool fs_append_sync(struct fs_append *f, struct err *e);
/* Cut the file back to its first size_bytes (resume drops lines written after the checkpoint). */
MUST_CHECK bool fs_append_truncate(struct fs_append *f, uint64_t size_bytes, struct err *e);
uint64_t fs_append_size(const struct fs_append *f);
void fs_append_close(struct fs_append *f);

/* ---- folders and names */
MUST_CHECK bool fs_mkdirs(const char *path, struct err *e); /* parents too; existing is fine */
bool fs_exists(const char *path);
bool fs_is_dir(const char *path);
MUST_CHECK bool fs_size(const char *path, uint64_t *out, struct err *e);
/* Remove a file; a missing one is fine. */
MUST_CHECK bool fs_remove(const char *path, struct err *e);
/* Remove a folder and all below it; missing is fine. */
MUST_CHECK bool fs_remove_tree(const char *path, struct err *e);
/* Flush a folder's entries to disk. */
MUST_CHECK bool fs_sync_dir(const char *path, struct err *e);
/* Names in a folder (no dots, no "*.tmp.*"), sorted by bytes, in the arena. */
MUST_CHECK bool fs_list(const char *path, struct arena *a, struct str **names, size_t *count,
                        struct err *e);
/* Paths matching a shell pattern, sorted; no match is ERR_IO. */
MUST_CHECK bool fs_glob(const char *pattern, struct arena *a, struct str **paths, size_t *count,
                        struct err *e);
/* "dir/name" in the arena, NUL-terminated. */
MUST_CHECK bool fs_join(struct arena *a, const char *dir, const char *name, const char **out,
                        struct err *e);
/* The last name of a path: "b" of "a/b" and of "a/b/". */
struct str fs_name(const char *path);
/* The folder that a path's last name is in, "." for a lone name; in the arena. */
MUST_CHECK bool fs_dir_of(struct arena *a, const char *path, const char **out, struct err *e);
/* Remove "*.tmp.*" left below dir (one level) by processes that are gone. */
MUST_CHECK bool fs_gc_tmp(const char *dir, struct err *e);
/* Exclusive lock file held until process end or fs_unlock; a lock held by a live process is
 * ERR_CONFIG "another job is using DIR". Uses flock on path. */
MUST_CHECK bool fs_lock(const char *path, int *handle, struct err *e);
void fs_unlock(int handle);

/* ---- claims between machines (fs_claim.c): what NFS, Lustre, GPFS and BeeGFS all do atomically */
/* Make `path` a second name of the file `from`, on the same file system, unless the name is taken:
 * *won says whether the name is ours now. link(2) succeeds for exactly one process; an answer lost
 * on the way (NFS) is settled by comparing the two files. Not flushed to disk: a name that is lost
 * with the machine's power is lost together with the process that took it. */
MUST_CHECK bool fs_link_once(const char *from, const char *path, bool *won, struct err *e);
/* Set a file's modification time to the file server's present time. */
MUST_CHECK bool fs_touch(const char *path, struct err *e);
/* Modification time in seconds on the file server's clock; a missing file is *found = false. */
MUST_CHECK bool fs_mtime(const char *path, double *seconds, bool *found, struct err *e);
