# The library: header-only targets. What links them is all that a user needs to know.

# A parent project may bring these itself.
if(NOT TARGET Boost::headers)
  find_package(Boost 1.81 REQUIRED)
endif()
if(NOT TARGET nlohmann_json::nlohmann_json)
  find_package(nlohmann_json 3.9 REQUIRED)
endif()
if(NOT TARGET Threads::Threads)
  find_package(Threads REQUIRED)
endif()

# roost_library(<name> <exported name> HEADERS <pattern>... LINK <target>...)
# The headers are a file set: installed, and each compiled alone by all_verify_interface_header_sets.
# What may be compiled separately is another set: installed too, but no header on its own.
function(roost_library name exported)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "HEADERS;LINK")
  set(include_dir "${PROJECT_SOURCE_DIR}/include")
  list(TRANSFORM arg_HEADERS PREPEND "${include_dir}/roost/")
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${arg_HEADERS})

  # All targets share one directory: the core leaves out what belongs to an adapter.
  if(name STREQUAL "roost")
    list(FILTER headers EXCLUDE REGEX "/include/roost/((beast|prometheus|redis|spdlog|testing)(/|\\.hpp$)|src\\.hpp$)")
  elseif(name STREQUAL "roost_beast")
    list(FILTER headers EXCLUDE REGEX "/beast/((detail/|impl/)?tls[a-z_]*)\\.[hi]pp$")
  endif()
  set(compiled "${headers}")
  list(FILTER compiled INCLUDE REGEX "(src\\.hpp|\\.ipp)$")
  list(FILTER headers EXCLUDE REGEX "(src\\.hpp|\\.ipp)$")

  add_library(${name} INTERFACE)
  add_library(roost::${exported} ALIAS ${name})
  set_target_properties(${name} PROPERTIES EXPORT_NAME ${exported})
  target_sources(${name} INTERFACE
    FILE_SET HEADERS BASE_DIRS "${include_dir}" FILES ${headers}
    FILE_SET compiled TYPE HEADERS BASE_DIRS "${include_dir}" FILES ${compiled})
  set_target_properties(${name} PROPERTIES INTERFACE_HEADER_SETS_TO_VERIFY HEADERS)
  target_compile_features(${name} INTERFACE cxx_std_20)
  target_link_libraries(${name} INTERFACE ${arg_LINK})
endfunction()

roost_library(roost roost
  HEADERS *.hpp
  LINK Boost::headers nlohmann_json::nlohmann_json Threads::Threads)

roost_library(roost_beast beast
  HEADERS src.hpp beast.hpp beast/*.hpp beast/*.ipp
  LINK roost::roost)

# Users of plain TCP neither include nor link OpenSSL.
if(NOT TARGET OpenSSL::SSL)
  find_package(OpenSSL QUIET)
endif()
if(TARGET OpenSSL::SSL)
  roost_library(roost_beast_tls beast_tls
    HEADERS beast/tls*.hpp beast/tls*.ipp
    LINK roost::beast OpenSSL::SSL)
endif()

# The Redis backplane: a real Redis is spoken to by TLS too.
include("${CMAKE_CURRENT_LIST_DIR}/hiredis.cmake")
if(TARGET hiredis::hiredis AND TARGET OpenSSL::SSL)
  roost_library(roost_redis redis
    HEADERS redis.hpp redis/*.hpp
    LINK roost::roost hiredis::hiredis OpenSSL::SSL)
endif()

# Metrics, and a log that is there already.
include("${CMAKE_CURRENT_LIST_DIR}/prometheus.cmake")
if(TARGET prometheus-cpp::core)
  roost_library(roost_prometheus prometheus
    HEADERS prometheus.hpp prometheus/*.hpp
    LINK roost::roost prometheus-cpp::core)
endif()
if(NOT TARGET spdlog::spdlog)
  find_package(spdlog QUIET)
endif()
if(TARGET spdlog::spdlog)
  roost_library(roost_spdlog spdlog
    HEADERS spdlog.hpp
    LINK roost::roost spdlog::spdlog)
endif()

roost_library(roost_testing testing
  HEADERS testing.hpp testing/*.hpp
  LINK roost::roost)
