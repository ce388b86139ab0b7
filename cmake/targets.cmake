# The library: header-only targets. A user links them and needs nothing else.

include("${CMAKE_CURRENT_LIST_DIR}/dependencies.cmake")

# roost_library(<name> <exported name> [FOLDERS <folder>...] [FILES <file>...] [WITHOUT <file>...]
#               LINK <target>...)
# Folders and files of include/roost. The headers are a file set, to be installed. Bodies
# that may be compiled separately are another set: installed too, but not headers on their own.
function(roost_library name exported)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "FOLDERS;FILES;WITHOUT;LINK")
  set(include_dir "${PROJECT_SOURCE_DIR}/include")
  set(patterns "")
  foreach(folder IN LISTS arg_FOLDERS)
    list(APPEND patterns "${include_dir}/roost/${folder}/*.hpp" "${include_dir}/roost/${folder}/*.ipp")
  endforeach()
  set(headers "")
  if(patterns)
    file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${patterns})
  endif()
  list(TRANSFORM arg_FILES PREPEND "${include_dir}/roost/")
  list(TRANSFORM arg_WITHOUT PREPEND "${include_dir}/roost/")
  list(APPEND headers ${arg_FILES})
  list(REMOVE_ITEM headers ${arg_WITHOUT})
  set(compiled "${headers}")
  list(FILTER compiled INCLUDE REGEX "(src\\.hpp|\\.ipp)$")
  list(FILTER headers EXCLUDE REGEX "(src\\.hpp|\\.ipp)$")

  add_library(${name} INTERFACE)
  add_library(roost::${exported} ALIAS ${name})
  set_target_properties(${name} PROPERTIES EXPORT_NAME ${exported})
  target_sources(${name} INTERFACE
    FILE_SET HEADERS BASE_DIRS "${include_dir}" FILES ${headers}
    FILE_SET compiled TYPE HEADERS BASE_DIRS "${include_dir}" FILES ${compiled})
  target_compile_features(${name} INTERFACE cxx_std_20)
  target_link_libraries(${name} INTERFACE ${arg_LINK})
endfunction()

roost_find_dependencies(core missing)
if(missing)
  message(FATAL_ERROR "roost needs packages that are missing: ${missing}")
endif()
# Every component shares one directory. The counters of a Redis backplane need no Redis: metrics use
# them without it.
roost_library(roost roost
  FOLDERS base runtime socket access manager heartbeat backplane service
  FILES roost.hpp src.hpp version.hpp redis/stats.hpp
  LINK Boost::headers nlohmann_json::nlohmann_json Threads::Threads)

set(tls_files
  beast/tls.hpp beast/tls_src.hpp
  beast/transport/tls_transport.hpp beast/transport/tls_transport.ipp)
roost_library(roost_beast beast
  FOLDERS beast FILES beast.hpp WITHOUT ${tls_files}
  LINK roost::roost)

# roost_optional_library(<component> <as above>...): where what it needs is there.
function(roost_optional_library component)
  roost_find_dependencies(${component} missing)
  if(missing)
    message(STATUS "There is no roost::${component} without ${missing}")
  else()
    roost_library(roost_${component} ${component} ${ARGN})
  endif()
endfunction()

# Users of plain TCP neither include nor link OpenSSL.
roost_optional_library(beast_tls
  FILES ${tls_files}
  LINK roost::beast OpenSSL::SSL)

# The Redis backplane: a real Redis is spoken to by TLS too.
roost_optional_library(redis
  FOLDERS redis FILES redis.hpp WITHOUT redis/stats.hpp
  LINK roost::roost hiredis::hiredis OpenSSL::SSL)

# Metrics, and a log that is there already.
roost_optional_library(prometheus
  FOLDERS prometheus FILES prometheus.hpp
  LINK roost::roost prometheus-cpp::core)
roost_optional_library(spdlog
  FILES spdlog.hpp
  LINK roost::roost spdlog::spdlog)

roost_library(roost_testing testing
  FOLDERS testing FILES testing.hpp
  LINK roost::roost)
