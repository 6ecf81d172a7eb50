/* SPDX-License-Identifier: Apache-2.0 */
/* One directory for the files of a test binary; removed with them. Thread: one thread. */
#ifndef TN_TESTS_SUPPORT_TEMP_DIR_H
#define TN_TESTS_SUPPORT_TEMP_DIR_H

#include <stddef.h>
#include <stdint.h>

/** cmocka group fixtures: 0 or -1. */
int tn_temp_dir_setup(void **state);
int tn_temp_dir_teardown(void **state);
/** Path of a file of that directory; borrowed until the next call. */
const char *tn_temp_path(const char *name);
/** The bytes of a file (tn_free), or NULL. */
uint8_t *tn_temp_read(const char *name, size_t *out_n);

#endif
