# An overlay port of the checkout that it is in:
#   vcpkg install 'roost[redis,tls]' --overlay-ports=<roost>/cmake/packaging/vcpkg
set(VCPKG_BUILD_TYPE release) # headers only

get_filename_component(SOURCE_PATH "${CURRENT_PORT_DIR}/../../../.." ABSOLUTE)

# What no feature asks for is not found, be it installed or not.
vcpkg_check_features(OUT_FEATURE_OPTIONS options
  INVERTED_FEATURES
    prometheus CMAKE_DISABLE_FIND_PACKAGE_prometheus-cpp
    redis CMAKE_DISABLE_FIND_PACKAGE_hiredis
    spdlog CMAKE_DISABLE_FIND_PACKAGE_spdlog)
if(NOT "tls" IN_LIST FEATURES AND NOT "redis" IN_LIST FEATURES)
  list(APPEND options -DCMAKE_DISABLE_FIND_PACKAGE_OpenSSL=ON)
endif()

vcpkg_cmake_configure(
  SOURCE_PATH "${SOURCE_PATH}"
  OPTIONS -DROOST_BUILD_TESTS=OFF -DROOST_BUILD_EXAMPLES=OFF -DROOST_INSTALL=ON ${options}
  MAYBE_UNUSED_VARIABLES
    CMAKE_DISABLE_FIND_PACKAGE_prometheus-cpp CMAKE_DISABLE_FIND_PACKAGE_hiredis
    CMAKE_DISABLE_FIND_PACKAGE_spdlog CMAKE_DISABLE_FIND_PACKAGE_OpenSSL)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/roost)
vcpkg_fixup_pkgconfig()
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/lib")

vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
