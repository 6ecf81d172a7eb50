# Targets, not global flags: warnings and sanitizers reach every target through two INTERFACE libraries.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

add_library(tenon_warnings INTERFACE)
target_compile_options(tenon_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wvla -Wundef -Wcast-qual
    -Wcast-align -Wwrite-strings -Wpointer-arith -Wformat=2 -Wimplicit-fallthrough -Wdouble-promotion
    -Wnull-dereference -fno-common
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition>)
if(TENON_WERROR)
    target_compile_options(tenon_warnings INTERFACE -Werror)
endif()

add_library(tenon_flags INTERFACE)
target_compile_definitions(tenon_flags INTERFACE _POSIX_C_SOURCE=200809L)
target_include_directories(tenon_flags INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/include)
# Messages and debug information name files from the root of the repository, wherever it lies.
target_compile_options(tenon_flags INTERFACE -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
# A fused multiply-add rounds once where the C text rounds twice: off everywhere, so that one source has one meaning.
target_compile_options(tenon_flags INTERFACE -ffp-contract=off)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_options(tenon_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong)
endif()
if(TENON_SANITIZE)
    target_compile_options(tenon_flags INTERFACE -fsanitize=${TENON_SANITIZE} -fno-omit-frame-pointer
        -fno-sanitize-recover=all)
    target_link_options(tenon_flags INTERFACE -fsanitize=${TENON_SANITIZE})
    # GCC's sanitizer instrumentation makes these two warnings report paths that cannot happen.
    target_compile_options(tenon_flags INTERFACE -Wno-null-dereference
        $<$<COMPILE_LANG_AND_ID:C,GNU>:-Wno-maybe-uninitialized> $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-maybe-uninitialized>)
endif()
if(TENON_FUZZ)
    target_compile_options(tenon_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# tenon_library(NAME sources... DEPS targets...): one static library a directory, include root = repository.
function(tenon_library name)
    cmake_parse_arguments(arg "" "" "DEPS;PRIVATE_DEPS" ${ARGN})
    add_library(${name} STATIC ${arg_UNPARSED_ARGUMENTS})
    target_link_libraries(${name} PUBLIC tenon_flags ${arg_DEPS} PRIVATE tenon_warnings ${arg_PRIVATE_DEPS})
    target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:C>:-Wconversion -Wno-sign-conversion>)
endfunction()

# tenon_plugin(NAME sources... [OUTPUT dir] [EXAMPLE]): NAME.so with one exported symbol, no lib prefix. Those without OUTPUT are
# for users: the target tenon_plugins builds them all, and they are installed, but for examples.
add_custom_target(tenon_plugins)
function(tenon_plugin name)
    cmake_parse_arguments(arg "EXAMPLE" "OUTPUT" "DEPS" ${ARGN})
    set(is_installed ON)
    if(arg_OUTPUT OR arg_EXAMPLE)
        set(is_installed OFF)
    endif()
    if(NOT arg_OUTPUT)
        set(arg_OUTPUT ${TENON_PLUGIN_OUTPUT_DIRECTORY})
        add_dependencies(tenon_plugins ${name})
    endif()
    add_library(${name} MODULE ${arg_UNPARSED_ARGUMENTS})
    set_target_properties(${name} PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${arg_OUTPUT})
    target_link_libraries(${name} PRIVATE tenon_flags tenon_warnings ${arg_DEPS} m)
    target_link_options(${name} PRIVATE -Wl,--exclude-libs,ALL -Wl,-Bsymbolic)
    if(NOT TENON_SANITIZE)
        target_link_options(${name} PRIVATE -Wl,--no-undefined)
    endif()
    if(is_installed)
        install(TARGETS ${name} LIBRARY DESTINATION ${TENON_PLUGIN_DIRECTORY})
    endif()
endfunction()

# Tests where threads meet: these get the label tsan too, and scripts/test.sh runs them under ThreadSanitizer.
set(TENON_TSAN_TESTS test_engine test_engine_bits test_request test_alloc_failure test_many_requests test_scheduler test_sched test_status test_team test_domain_sim
    test_fp16_linear test_fp16_attention test_fp16_rows test_fp16_rope test_w4_linear test_kvint8_attention test_kvint8_rope
    test_simt_kernels test_simt_runtime test_simt_cublas test_cuda_domain)
add_custom_target(tsan_tests)

# cmocka's assertions do not return on failure, but the compiler does not know.
add_library(tenon_test_warnings INTERFACE)
target_compile_options(tenon_test_warnings INTERFACE -Wno-null-dereference)

# tenon_test(NAME sources... DEPS targets... [LABEL unit] [TIMEOUT s]): a cmocka binary under ctest.
function(tenon_test name)
    cmake_parse_arguments(arg "" "LABEL;TIMEOUT" "DEPS;ARGS" ${ARGN})
    if(NOT arg_LABEL)
        set(arg_LABEL unit)
    endif()
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 120)
    endif()
    add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    target_link_libraries(${name} PRIVATE tenon_flags tenon_warnings tenon_test_warnings ${arg_DEPS} PkgConfig::cmocka)
    add_test(NAME ${name} COMMAND ${name} ${arg_ARGS})
    if(name IN_LIST TENON_TSAN_TESTS)
        list(APPEND arg_LABEL tsan)
        add_dependencies(tsan_tests ${name})
    endif()
    set_tests_properties(${name} PROPERTIES LABELS "${arg_LABEL}" TIMEOUT ${arg_TIMEOUT} SKIP_RETURN_CODE 77
        ENVIRONMENT TENON_CACHE_LIMIT=0) # the user's own packed weights are none of a test's business
endfunction()

# tenon_pytest(NAME file.py [LABEL e2e] [TIMEOUT s] [ARGS of pytest...]): a pytest file under ctest, in the .venv of
# scripts/test.sh. The file finds the build in the environment variable TENON_BUILD.
function(tenon_pytest name file)
    cmake_parse_arguments(arg "" "LABEL;TIMEOUT" "ARGS" ${ARGN})
    if(NOT arg_LABEL)
        set(arg_LABEL e2e)
    endif()
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 300)
    endif()
    add_test(NAME ${name} COMMAND ${CMAKE_SOURCE_DIR}/.venv/bin/python -m pytest -q -rs -p no:cacheprovider
        ${arg_ARGS} ${CMAKE_CURRENT_SOURCE_DIR}/${file})
    set_tests_properties(${name} PROPERTIES LABELS "${arg_LABEL}" TIMEOUT ${arg_TIMEOUT}
        ENVIRONMENT "TENON_BUILD=${CMAKE_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1;XDG_CACHE_HOME=${CMAKE_BINARY_DIR}/test-cache")
endfunction()

# tenon_fuzz(NAME sources... DEPS targets... [ARGS of libFuzzer...]): a libFuzzer target, built with TENON_FUZZ only. The test
# of the same name (label fuzz) starts from the files in corpus/ next to it, in the folder of its name less "fuzz_", and runs
# for TENON_FUZZ_SECONDS.
set(TENON_FUZZ_SECONDS 15 CACHE STRING "How long each fuzz test runs")
add_custom_target(fuzz_targets)
function(tenon_fuzz name)
    if(NOT TENON_FUZZ)
        return()
    endif()
    cmake_parse_arguments(arg "" "" "DEPS;ARGS" ${ARGN})
    add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
    target_link_libraries(${name} PRIVATE tenon_flags tenon_warnings ${arg_DEPS})
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    add_dependencies(fuzz_targets ${name})

    string(REGEX REPLACE "^fuzz_" "" folder ${name})
    set(found ${CMAKE_BINARY_DIR}/fuzz/${folder})
    file(MAKE_DIRECTORY ${found})
    set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${folder})
    if(NOT EXISTS ${corpus})
        set(corpus "")
    endif()
    math(EXPR timeout "${TENON_FUZZ_SECONDS} + 60")
    add_test(NAME ${name} COMMAND ${name} -max_total_time=${TENON_FUZZ_SECONDS} -timeout=10 -rss_limit_mb=2048
        -verbosity=0 -print_final_stats=1 -artifact_prefix=${CMAKE_BINARY_DIR}/fuzz/ ${arg_ARGS} ${found} ${corpus})
    set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT ${timeout})
endfunction()
