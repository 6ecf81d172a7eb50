/* SPDX-License-Identifier: Apache-2.0 */
/* The KV formats of cuda-kvint8. */
#ifndef TN_PLUGINS_CUDA_KVINT8_KV_H
#define TN_PLUGINS_CUDA_KVINT8_KV_H

#include <tenon/plugin.h>

extern const tn_kv_format kvint8_i8, kvint8_i8_static;

#endif
