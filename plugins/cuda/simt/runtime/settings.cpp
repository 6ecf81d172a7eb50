// SPDX-License-Identifier: Apache-2.0
#include "plugins/cuda/simt/runtime/settings.h"

#include "plugins/cuda/simt/runtime/context.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>

namespace simt
{

/* The position of the variable's word in the list, or 0; a word that is not in it is said and
 * ignored. */
static int word_of(const char *variable, std::initializer_list<const char *> words)
{
    const char *value = std::getenv(variable);
    if (!value)
        return 0;
    int i = 0;
    for (const char *word : words) {
        if (std::strcmp(value, word) == 0)
            return i;
        i++;
    }
    std::fprintf(stderr, "simt: %s=%s is ignored; allowed:", variable, value);
    for (const char *word : words)
        std::fprintf(stderr, " %s", word);
    std::fputc('\n', stderr);
    return 0;
}

static unsigned long number_of(const char *variable, unsigned long otherwise, unsigned long low,
                               unsigned long high)
{
    const char *value = std::getenv(variable);
    if (!value)
        return otherwise;
    char *end = nullptr;
    unsigned long n = std::strtoul(value, &end, 10);
    if (end != value && *end == '\0' && n >= low && n <= high)
        return n;
    std::fprintf(stderr, "simt: %s=%s is ignored; allowed: %lu to %lu\n", variable, value, low,
                 high);
    return otherwise;
}

static settings from_environment()
{
    settings s = {};
    s.schedule =
        static_cast<schedule>(word_of("TENON_SIMT_SCHEDULE", { "fifo", "lifo", "random" }));
    s.copies = static_cast<copies>(word_of("TENON_SIMT_CP_ASYNC", { "late", "eager" }));
    s.streams = static_cast<streams>(word_of("TENON_SIMT_STREAMS", { "lazy", "eager" }));
    s.device =
        static_cast<device>(word_of("TENON_SIMT_DEVICE", { "a100", "h100", "v100", "none" }));
    s.seed = static_cast<uint32_t>(number_of("TENON_SIMT_SEED", 1, 0, 0xffffffffu));
    unsigned long n_cores = std::max(1u, std::thread::hardware_concurrency());
    s.n_workers = static_cast<int>(number_of("TENON_SIMT_WORKERS", std::min(n_cores, 8ul), 1, 64));
    s.driver_version = static_cast<int>(number_of("TENON_SIMT_DRIVER", 0, 0, 99990));
    s.max_memory_bytes =
        static_cast<uint64_t>(number_of("TENON_SIMT_MEMORY_MB", 4096, 1, 80 * 1024)) << 20;
    return s;
}

static settings &settings_now()
{
    static settings s = from_environment();
    return s;
}

const settings &current_settings()
{
    return settings_now();
}

static std::mutex fault_lock;
static char fault_text[640];

void set_fault(const char *kernel, const char *text)
{
    std::lock_guard<std::mutex> guard(fault_lock);
    if (fault_text[0])
        return;
    std::snprintf(fault_text, sizeof fault_text, "%s: %s", kernel, text);
    if (!current_settings().quiet)
        std::fprintf(stderr, "simt: %s\n", fault_text);
}

bool has_fault()
{
    std::lock_guard<std::mutex> guard(fault_lock);
    return fault_text[0] != '\0';
}

} // namespace simt

using namespace simt;

extern "C" void tn_simt_get_settings(settings *out)
{
    *out = current_settings();
}

extern "C" void tn_simt_set_settings(const settings *s)
{
    settings_now() = *s;
}

extern "C" const char *tn_simt_fault(void)
{
    return fault_text;
}

extern "C" const char *tn_simt_switch_kind(void)
{
    return context_kind();
}

extern "C" void tn_simt_clear_fault(void)
{
    std::lock_guard<std::mutex> guard(fault_lock);
    fault_text[0] = '\0';
}
