/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A domain on a device: memory, stream, copies. "host" is built in here, so that the executor treats every domain alike;
 * the others come from plugins. Thread: see tn_domain; the core calls a domain from one thread at a time.
 */
#ifndef TN_CORE_PLUGIN_DOMAIN_H
#define TN_CORE_PLUGIN_DOMAIN_H

#include "core/base/status.h"

typedef struct tn_device {
    const tn_domain *domain; /* normalised: every required slot is set */
    void *self;
    int32_t index;           /* device number */
} tn_device;

/** The built-in host domain: addresses are pointers, the stream is NULL, every call is synchronous; edges f32/f32. */
const tn_domain *tn_host_domain(void);
/** True when addresses of the device are host pointers (it is the built-in host domain). */
int32_t tn_device_is_host(const tn_device *device);

#endif
