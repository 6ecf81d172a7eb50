/* SPDX-License-Identifier: Apache-2.0 */
/* Made when this program is built (cmake/digest.cmake). Immutable. */
#ifndef TN_RUNTIME_READER_DIGEST_H
#define TN_RUNTIME_READER_DIGEST_H

/** Of the sources that turn a model's bytes into canonical rows and give them to plugins: 32 hex
 * digits. Packed weights that were made with others are not used. */
extern const char tn_reader_digest[];

#endif
