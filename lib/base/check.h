/*
 * base/check - broken promises between our own functions.
 *
 * Bad input is an error (base/err.h). A CHECK that fails is a bug in radmill: it prints the place
 * and aborts, in release builds too, so that a wrong result is never written. Under MPI the abort
 * ends the whole job.
 */
#pragma once

#define CHECK(cond)   ((cond) ? (void)0 : check_failed(__FILE__, __LINE__, __func__, #cond))
#define UNREACHABLE() check_failed(__FILE__, __LINE__, __func__, "unreachable")

#define MUST_CHECK              __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))

__attribute__((noreturn, cold)) void check_failed(const char *file, int line, const char *func,
                                                  const char *what);
