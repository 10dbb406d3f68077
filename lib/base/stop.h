/*
 * base/stop - "please stop and save" (SIGTERM, SIGUSR1, SIGINT), set by cli's signal handlers and
 * polled by long loops. Async-signal-safe. Ranks agree on it with comm before they act.
 */
#pragma once
#include <stdbool.h>

void stop_request(void);
bool stop_requested(void);
void stop_reset(void);
