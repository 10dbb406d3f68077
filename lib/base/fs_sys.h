/*
 * base/fs_sys - the system calls behind base/fs, each with its fault point. Private to base/fs*.c.
 *
 * They return as the call does (-1 and errno), retry EINTR and add close-on-exec.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

int fs_sys_open(const char *path, int flags, mode_t mode);
/* All n bytes, or -1. */
int fs_sys_write_all(int fd, const void *p, size_t n);
/* As many bytes as there are, up to n; -1 on error. */
ssize_t fs_sys_read_at(int fd, void *p, size_t n, uint64_t offset);
int fs_sys_fsync(int fd);
int fs_sys_rename(const char *from, const char *to);
int fs_sys_unlink(const char *path);
int fs_sys_rmdir(const char *path);
int fs_sys_mkdir(const char *path, mode_t mode);
int fs_sys_fstat(int fd, struct stat *st);
int fs_sys_truncate(int fd, uint64_t size);
/* 0600 or 0640; 0700 or 0750. */
mode_t fs_sys_file_mode(void);
mode_t fs_sys_dir_mode(void);
/* Does the name end as the writer's temporary names do (".tmp.PID.N")? The pid goes to *pid. */
bool fs_sys_is_tmp(const char *name, pid_t *pid);
/* fsync the folder that holds path. */
int fs_sys_sync_parent(const char *path);
