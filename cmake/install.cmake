# cmake --install: the program, libtenon.so, the plugins (tenon_plugin installs each), headers, and what others need to find
# them. Everything is found from where it lies, so an installed tree may be moved.
include(CMakePackageConfigHelpers)

install(TARGETS tenon RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS tenon_shared EXPORT tenon LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES include/tenon/tenon.h include/tenon/plugin.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tenon)

# Relative to the .pc file, for whatever directory libraries go to.
set(pc_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH pc_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/tenon.pc.in ${CMAKE_BINARY_DIR}/cmake/tenon.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/cmake/tenon.pc DESTINATION ${pc_dir})

# tenon::plugin: the header, and the flags of docs/add-a-plugin.md. Plugins link nothing of tenon.
add_library(tenon_plugin_sdk INTERFACE)
set_target_properties(tenon_plugin_sdk PROPERTIES EXPORT_NAME plugin)
target_include_directories(tenon_plugin_sdk INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(tenon_plugin_sdk INTERFACE m)
target_link_options(tenon_plugin_sdk INTERFACE -Wl,--exclude-libs,ALL -Wl,-Bsymbolic -Wl,--no-undefined)
install(TARGETS tenon_plugin_sdk EXPORT tenon)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tenon)
install(EXPORT tenon NAMESPACE tenon:: FILE tenonTargets.cmake DESTINATION ${package_dir})
configure_package_config_file(cmake/tenonConfig.cmake.in ${CMAKE_BINARY_DIR}/cmake/tenonConfig.cmake
    INSTALL_DESTINATION ${package_dir} PATH_VARS TENON_PLUGIN_DIRECTORY CMAKE_INSTALL_BINDIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/cmake/tenonConfigVersion.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${CMAKE_BINARY_DIR}/cmake/tenonConfig.cmake ${CMAKE_BINARY_DIR}/cmake/tenonConfigVersion.cmake
    DESTINATION ${package_dir})

install(DIRECTORY ${CMAKE_BINARY_DIR}/share/man/man1 DESTINATION ${CMAKE_INSTALL_MANDIR})
install(FILES ${CMAKE_BINARY_DIR}/share/bash-completion/completions/tenon
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(DIRECTORY configs DESTINATION ${CMAKE_INSTALL_DATADIR}/tenon)
# The links of the documents hold: the README lies above docs/, and the plugin to start from is there.
set(doc_dir ${CMAKE_INSTALL_DATADIR}/doc/tenon)
install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${doc_dir})
install(DIRECTORY docs DESTINATION ${doc_dir} FILES_MATCHING PATTERN "*.md")
install(FILES plugins/template/template.c DESTINATION ${doc_dir}/plugins/template)
