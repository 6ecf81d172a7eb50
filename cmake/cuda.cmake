# CUDA plugins are built twice from the same sources (docs/cuda.md): by nvcc, and by the host compiler against the emulator, into
# the plugins' sub-directory sim/ under the same name.
set(TENON_CUDA AUTO CACHE STRING "Build CUDA plugins with nvcc: AUTO (where there is one), ON, OFF")
set(TENON_CUDA_ARCHITECTURES 80 CACHE STRING
    "Compute capabilities to build for, or all; the last one also as PTX, for later GPUs")

unset(TENON_NVCC)
if(TENON_SANITIZE)
    set(TENON_NO_NVCC "sanitizers are for the emulator")
elseif(TENON_CUDA STREQUAL "OFF")
    set(TENON_NO_NVCC "TENON_CUDA is OFF")
else()
    find_program(TENON_NVCC_PROGRAM nvcc HINTS /usr/local/cuda/bin)
    set(TENON_NO_NVCC "there is no nvcc")
    if(TENON_NVCC_PROGRAM)
        cmake_path(GET TENON_NVCC_PROGRAM PARENT_PATH nvcc_directory)
        execute_process(COMMAND ${TENON_NVCC_PROGRAM} --list-gpu-arch OUTPUT_VARIABLE known RESULT_VARIABLE nvcc_status ERROR_QUIET)
        find_library(TENON_CUDART cudart_static HINTS ${nvcc_directory}/../lib64 ${nvcc_directory}/../lib)
        if(NOT nvcc_status STREQUAL "0")
            set(TENON_NO_NVCC "${TENON_NVCC_PROGRAM} does not run")
        elseif(NOT TENON_CUDART)
            set(TENON_NO_NVCC "there is no cudart_static beside ${TENON_NVCC_PROGRAM}")
        else()
            set(TENON_NVCC ${TENON_NVCC_PROGRAM})
        endif()
    endif()
    if(TENON_CUDA STREQUAL "ON" AND NOT TENON_NVCC)
        message(FATAL_ERROR "TENON_CUDA is ON and ${TENON_NO_NVCC}")
    endif()
endif()
# Those of the project that this nvcc knows: 100 and 120 came with CUDA 12.8.
if(TENON_NVCC)
    foreach(arch 80 86 89 90 100 120)
        if(known MATCHES "compute_${arch}[^0-9]")
            list(APPEND tenon_all_architectures ${arch})
        endif()
    endforeach()
    set(tenon_architectures ${TENON_CUDA_ARCHITECTURES})
    if(tenon_architectures STREQUAL "all")
        set(tenon_architectures ${tenon_all_architectures})
    endif()
endif()
if(NOT TENON_NVCC)
    message(STATUS "CUDA plugins by nvcc: not built, ${TENON_NO_NVCC}; those for the emulator are")
endif()

# What every .cu is compiled with. A warning of any part of nvcc is an error where the project's warnings are; spilled registers
# are one.
set(tenon_nvcc_flags -std=c++17 -O3 -Xptxas -v,-warn-spills -I${CMAKE_SOURCE_DIR} -I${CMAKE_SOURCE_DIR}/include
    -Xcompiler -fPIC,-fvisibility=hidden,-fvisibility-inlines-hidden,-Wall,-Wextra,-fno-strict-aliasing
    -Xcompiler -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=,-ffile-prefix-map=${CMAKE_BINARY_DIR}/=)
if(TENON_WERROR)
    list(APPEND tenon_nvcc_flags -Werror all-warnings)
endif()
# tenon_gencode(OUT architecture...): nvcc's options for machine code of each and PTX of the last.
function(tenon_gencode out)
    foreach(arch ${ARGN})
        list(APPEND options -gencode arch=compute_${arch},code=sm_${arch})
    endforeach()
    list(GET ARGN -1 last)
    list(APPEND options -gencode arch=compute_${last},code=compute_${last})
    set(${out} ${options} PARENT_SCOPE)
endfunction()

# Everything that nvcc compiles.
add_custom_target(cuda_code)

# tenon_nvcc(OUT NAME files.cu...): their objects by nvcc. Beside each object lie what ptxas said of it (.log) and its PTX, which
# tests read.
function(tenon_nvcc out name)
    tenon_gencode(gencode ${tenon_architectures})
    foreach(file ${ARGN})
        cmake_path(ABSOLUTE_PATH file OUTPUT_VARIABLE source)
        cmake_path(GET file STEM stem)
        set(stem ${CMAKE_CURRENT_BINARY_DIR}/${name}.nvcc/${stem})
        add_custom_command(OUTPUT ${stem}.o BYPRODUCTS ${stem}.log DEPFILE ${stem}.d
            DEPENDS ${source} ${CMAKE_SOURCE_DIR}/cmake/nvcc.sh
            COMMAND sh ${CMAKE_SOURCE_DIR}/cmake/nvcc.sh ${stem} ${TENON_NVCC} ${tenon_nvcc_flags} ${gencode} ${source}
            COMMENT "Building CUDA object ${name}/${file}" VERBATIM)
        list(APPEND objects ${stem}.o)
        set_property(GLOBAL APPEND PROPERTY TENON_NVCC_${name} ${stem})
        cmake_path(IS_PREFIX CMAKE_CURRENT_SOURCE_DIR ${source} NORMALIZE is_own)
        if(is_own)
            set_property(GLOBAL APPEND PROPERTY TENON_NVCC_OWN_${name} ${stem})
        endif()
    endforeach()
    add_custom_target(${name}.nvcc DEPENDS ${objects})
    add_dependencies(cuda_code ${name}.nvcc)
    set(${out} ${objects} PARENT_SCOPE)
endfunction()

# tenon_link_cudart(TARGET): the target's host code sees CUDA's headers, and the runtime is linked in. It speaks to the driver
# through dlopen, so what has it loads where there is none.
function(tenon_link_cudart target)
    set_target_properties(${target} PROPERTIES LINKER_LANGUAGE CXX)
    target_include_directories(${target} SYSTEM PRIVATE ${nvcc_directory}/../include)
    target_link_libraries(${target} PRIVATE ${TENON_CUDART} dl rt Threads::Threads)
endfunction()

# tenon_emulated(files.cu...): the host compiler reads these as C++.
function(tenon_emulated)
    set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CXX)
endfunction()

# tenon_cuda_plugin(NAME sources... [OUTPUT dir]): targets NAME-sim and, where nvcc is or no source is a .cu, NAME. Sources are .cu
# (kernels and their launchers), .cpp and .c; TN_CUDA_SIM is 1 in the one build and 0 in the other, TENON_PLUGIN_NAME is "NAME".
# OUTPUT is for tests.
function(tenon_cuda_plugin name)
    cmake_parse_arguments(arg "" "OUTPUT" "" ${ARGN})
    set(host_sources ${arg_UNPARSED_ARGUMENTS})
    list(FILTER host_sources EXCLUDE REGEX "\\.cu$")
    set(kernels ${arg_UNPARSED_ARGUMENTS})
    list(FILTER kernels INCLUDE REGEX "\\.cu$")
    set(definitions TENON_VERSION="${PROJECT_VERSION}" TENON_PLUGIN_NAME="${name}")

    if(arg_OUTPUT)
        set(output OUTPUT ${arg_OUTPUT})
        set(sim_output OUTPUT ${arg_OUTPUT}/sim)
    else()
        set(sim_output OUTPUT ${TENON_PLUGIN_OUTPUT_DIRECTORY}/sim)
    endif()
    tenon_emulated(${kernels})
    tenon_plugin(${name}-sim ${host_sources} ${kernels} ${sim_output} DEPS tenon_simt)
    target_compile_definitions(${name}-sim PRIVATE ${definitions} TN_CUDA_SIM=1)
    set_target_properties(${name}-sim PROPERTIES OUTPUT_NAME ${name})
    # Even who only opens the emulator by name needs it: sanitizers put a dlopen of their own in front, which looks nowhere else.
    target_link_options(${name}-sim PRIVATE -Wl,--no-as-needed)
    if(NOT TENON_SANITIZE)
        target_link_options(${name}-sim PRIVATE -static-libgcc $<$<LINK_LANGUAGE:CXX>:-static-libstdc++>)
    endif()
    if(NOT arg_OUTPUT)
        # libtn-simcuda.so lies above the plugins' directory, in the build as when installed.
        set_target_properties(${name}-sim PROPERTIES BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "$ORIGIN/../..")
        add_dependencies(tenon_plugins ${name}-sim)
        install(TARGETS ${name}-sim LIBRARY DESTINATION ${TENON_PLUGIN_DIRECTORY}/sim)
    endif()

    if(kernels AND NOT TENON_NVCC)
        return()
    endif()
    if(kernels)
        tenon_nvcc(objects ${name} ${kernels})
    endif()
    tenon_plugin(${name} ${host_sources} ${objects} ${output})
    target_compile_definitions(${name} PRIVATE ${definitions} TN_CUDA_SIM=0)
    if(kernels)
        tenon_link_cudart(${name})
        target_link_options(${name} PRIVATE -static-libstdc++ -static-libgcc)
    endif()
endfunction()

# tenon_nvcc_test(NAME COMMAND...): a test that needs the CUDA Toolkit; without it, shown as not run. Builds with sanitizers have none
# of them: they would say nothing new.
function(tenon_nvcc_test name)
    if(TENON_SANITIZE)
        return()
    endif()
    if(TENON_NVCC)
        add_test(NAME ${name} COMMAND ${ARGN})
    else()
        add_test(NAME ${name} COMMAND sh -c "echo not run: ${TENON_NO_NVCC}; exit 77")
    endif()
    set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 120 SKIP_RETURN_CODE 77)
endfunction()

# tenon_cuda_budget(NAME budget.toml [MOVES program]): the test cuda_budget_NAME, of the kernels that tenon_nvcc built for NAME. Budgets
# are for 8.0; cuda_architectures_NAME is of all that were built for. MOVES measures the kernels on the emulator: then the table of NAME
# in docs/cuda.md is held to what it prints (cuda_table_NAME) and to what nvcc made (cuda_table_nvcc_NAME). The table leaves out kernels
# of files that are another plugin's.
function(tenon_cuda_budget name budget)
    cmake_parse_arguments(arg "" "MOVES" "" ${ARGN})
    set(scripts ${CMAKE_SOURCE_DIR}/tests/plugins)
    get_property(stems GLOBAL PROPERTY TENON_NVCC_${name})
    tenon_nvcc_test(cuda_architectures_${name} ${Python3_EXECUTABLE} -B ${scripts}/cuda_budget.py --architectures ${budget} ${stems})
    if(TENON_NVCC AND NOT 80 IN_LIST tenon_architectures)
        set(TENON_NVCC "")
        set(TENON_NO_NVCC "budgets are for the architecture 80")
    endif()
    tenon_nvcc_test(cuda_budget_${name} ${Python3_EXECUTABLE} -B ${scripts}/cuda_budget.py ${budget} ${stems})
    if(NOT arg_MOVES OR TENON_SANITIZE)
        return()
    endif()
    get_property(own_stems GLOBAL PROPERTY TENON_NVCC_OWN_${name})
    set(table ${CMAKE_SOURCE_DIR}/docs/cuda.md ${name})
    tenon_nvcc_test(cuda_table_nvcc_${name} ${Python3_EXECUTABLE} -B ${scripts}/cuda_table.py code ${table} ${budget} ${own_stems})
    add_test(NAME cuda_table_${name} COMMAND ${Python3_EXECUTABLE} -B ${scripts}/cuda_table.py moves ${table} $<TARGET_FILE:${arg_MOVES}>)
    set_tests_properties(cuda_table_${name} PROPERTIES LABELS unit TIMEOUT 120)
endfunction()
