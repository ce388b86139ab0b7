# `find_package(roost COMPONENTS beast redis)` gives the same target names as the build tree.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/roost")

# roost_install(<file> <target>...): the targets and their headers, to be found in <file>.
function(roost_install file)
  install(TARGETS ${ARGN}
    EXPORT ${file}
    FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
    FILE_SET compiled DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
  install(EXPORT ${file} NAMESPACE roost:: DESTINATION "${package_dir}" FILE ${file}.cmake)
endfunction()

# Each of the others on its own, so that what it needs is asked for by those only who use it.
roost_install(roost-core roost roost_beast roost_testing)
foreach(component beast_tls redis prometheus spdlog)
  if(TARGET roost_${component})
    roost_install(roost-${component} roost_${component})
  endif()
endforeach()

configure_package_config_file(cmake/roostConfig.cmake.in roostConfig.cmake
  INSTALL_DESTINATION "${package_dir}")
# While the major version is 0, a new minor version may change the interface.
write_basic_package_version_file(roostConfigVersion.cmake
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(
  FILES
    cmake/dependencies.cmake
    "${CMAKE_CURRENT_BINARY_DIR}/roostConfig.cmake"
    "${CMAKE_CURRENT_BINARY_DIR}/roostConfigVersion.cmake"
  DESTINATION "${package_dir}")

# roost_pkg_config(<name> <description> [REQUIRES <module>...] [LIBS <flag>...])
function(roost_pkg_config name description)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "REQUIRES;LIBS")
  list(JOIN arg_REQUIRES ", " requires)
  list(JOIN arg_LIBS " " libs)
  file(CONFIGURE OUTPUT "${name}.pc" @ONLY CONTENT
"prefix=\${pcfiledir}/../..
includedir=\${prefix}/@CMAKE_INSTALL_INCLUDEDIR@

Name: @name@
Description: @description@
Version: @PROJECT_VERSION@
Requires: @requires@
Cflags: -I\${includedir} -pthread
Libs: -pthread @libs@
")
  install(FILES "${CMAKE_CURRENT_BINARY_DIR}/${name}.pc"
    DESTINATION "${CMAKE_INSTALL_DATADIR}/pkgconfig")
endfunction()

# Boost's headers have no module of their own; Debian's have theirs in the default folder.
roost_pkg_config(roost "${PROJECT_DESCRIPTION}" REQUIRES "nlohmann_json >= 3.9")
roost_pkg_config(roost-beast "roost for Boost.Beast" REQUIRES roost)
roost_pkg_config(roost-testing "roost's test kit" REQUIRES roost)
if(TARGET roost_beast_tls)
  roost_pkg_config(roost-beast-tls "roost for Boost.Beast with TLS" REQUIRES roost-beast openssl)
endif()
if(TARGET roost_redis)
  roost_pkg_config(roost-redis "roost over Redis" REQUIRES roost openssl LIBS -lhiredis)
endif()
if(TARGET roost_prometheus)
  roost_pkg_config(roost-prometheus "roost's metrics" REQUIRES roost LIBS -lprometheus-cpp-core)
endif()
if(TARGET roost_spdlog)
  roost_pkg_config(roost-spdlog "roost's log by spdlog" REQUIRES roost spdlog)
endif()
