/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/chat_signal.h"

#include <assert.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

/* SIGWINCH is in POSIX since 2024 only; the headers hide it until then. */
#ifndef SIGWINCH
#    define SIGWINCH 28
#endif

/* A handler can reach nothing but globals. Lock-free atomics are what C11 allows in one; relaxed,
 * because the flags order nothing else. */
static atomic_int interrupted, must_end, redraw;
static_assert(ATOMIC_INT_LOCK_FREE == 2, "atomic_int must be lock-free for signal handlers");

static void on_signal(int number)
{
    atomic_int *flag = number == SIGINT                          ? &interrupted
                       : number == SIGWINCH || number == SIGCONT ? &redraw
                                                                 : &must_end;
    atomic_store_explicit(flag, 1, memory_order_relaxed);
}

void tn_chat_signals_install(void)
{
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGCONT };
    struct sigaction action = { .sa_handler = on_signal }; /* no SA_RESTART: waiting must end */
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaction(numbers[i], &action, NULL);
}

bool tn_chat_interrupted(void)
{
    return atomic_load_explicit(&interrupted, memory_order_relaxed) != 0;
}

bool tn_chat_take_interrupt(void)
{
    return atomic_exchange_explicit(&interrupted, 0, memory_order_relaxed) != 0;
}

bool tn_chat_must_end(void)
{
    return atomic_load_explicit(&must_end, memory_order_relaxed) != 0;
}

bool tn_chat_take_redraw(void)
{
    return atomic_exchange_explicit(&redraw, 0, memory_order_relaxed) != 0;
}
