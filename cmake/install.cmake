# `find_package(roost COMPONENTS beast testing)` gives the same target names as the build tree.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/roost")

install(TARGETS roost roost_beast roost_testing
  EXPORT roostTargets
  FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  FILE_SET compiled DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT roostTargets NAMESPACE roost:: DESTINATION "${package_dir}")
# On its own, so that OpenSSL is asked for by those only who use it.
if(TARGET roost_beast_tls)
  install(TARGETS roost_beast_tls
    EXPORT roostTlsTargets
    FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
    FILE_SET compiled DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
  install(EXPORT roostTlsTargets NAMESPACE roost:: DESTINATION "${package_dir}")
endif()
# Likewise hiredis.
if(TARGET roost_redis)
  install(TARGETS roost_redis
    EXPORT roostRedisTargets
    FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
    FILE_SET compiled DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
  install(EXPORT roostRedisTargets NAMESPACE roost:: DESTINATION "${package_dir}")
  install(FILES cmake/hiredis.cmake DESTINATION "${package_dir}")
endif()
# Likewise prometheus-cpp and spdlog.
if(TARGET roost_prometheus)
  install(TARGETS roost_prometheus
    EXPORT roostPrometheusTargets
    FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
    FILE_SET compiled DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
  install(EXPORT roostPrometheusTargets NAMESPACE roost:: DESTINATION "${package_dir}")
  install(FILES cmake/prometheus.cmake DESTINATION "${package_dir}")
endif()
if(TARGET roost_spdlog)
  install(TARGETS roost_spdlog
    EXPORT roostSpdlogTargets
    FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
    FILE_SET compiled DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
  install(EXPORT roostSpdlogTargets NAMESPACE roost:: DESTINATION "${package_dir}")
endif()

configure_package_config_file(cmake/roostConfig.cmake.in roostConfig.cmake
  INSTALL_DESTINATION "${package_dir}")
# While the major version is 0, a new minor version may change the interface.
write_basic_package_version_file(roostConfigVersion.cmake
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(
  FILES
    "${CMAKE_CURRENT_BINARY_DIR}/roostConfig.cmake"
    "${CMAKE_CURRENT_BINARY_DIR}/roostConfigVersion.cmake"
  DESTINATION "${package_dir}")
