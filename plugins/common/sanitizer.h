/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The value of tn_plugin.sanitizer: how this object was compiled. The loader refuses a plugin whose
 * sanitizer is not the host's, with a sentence instead of a crash.
 */
#ifndef TN_PLUGINS_COMMON_SANITIZER_H
#define TN_PLUGINS_COMMON_SANITIZER_H

enum { TN_SANITIZER_NONE = 0, TN_SANITIZER_ADDRESS = 1, TN_SANITIZER_THREAD = 2 };

#if defined(__has_feature) /* clang; GCC defines the macros tested below */
#    if __has_feature(address_sanitizer)
#        define TN_SANITIZER TN_SANITIZER_ADDRESS
#    elif __has_feature(thread_sanitizer)
#        define TN_SANITIZER TN_SANITIZER_THREAD
#    endif
#endif

#ifndef TN_SANITIZER
#    if defined(__SANITIZE_ADDRESS__)
#        define TN_SANITIZER TN_SANITIZER_ADDRESS
#    elif defined(__SANITIZE_THREAD__)
#        define TN_SANITIZER TN_SANITIZER_THREAD
#    else
#        define TN_SANITIZER TN_SANITIZER_NONE
#    endif
#endif

#endif
