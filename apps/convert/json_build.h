/* SPDX-License-Identifier: Apache-2.0 */
/* Objects and arrays of jansson that lose nothing in silence: one that a value could not be added
 * to becomes NULL, and what it is added to as well, so that the end is looked at once. Values are
 * taken; NULL stands for lack of memory. */
#ifndef TN_APPS_CONVERT_JSON_BUILD_H
#define TN_APPS_CONVERT_JSON_BUILD_H

#include <jansson.h>

static inline void tn_json_build_drop(json_t **whole)
{
    json_decref(*whole);
    *whole = NULL;
}

static inline void tn_json_build_set(json_t **object, const char *key, json_t *value)
{
    if (json_object_set_new(*object, key, value))
        tn_json_build_drop(object);
}

static inline void tn_json_build_append(json_t **array, json_t *value)
{
    if (json_array_append_new(*array, value))
        tn_json_build_drop(array);
}

#endif
