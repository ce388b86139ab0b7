cmake_minimum_required(VERSION 3.24)
project(consumer CXX)

# Without all that is optional: roost does, and says what is not there.
foreach(package OpenSSL hiredis prometheus-cpp spdlog)
  set(CMAKE_DISABLE_FIND_PACKAGE_${package} ON)
endforeach()
add_subdirectory("${ROOST_SOURCE_DIR}" roost)

# A guest: no tests, no examples, nothing to install.
foreach(option ROOST_BUILD_TESTS ROOST_BUILD_EXAMPLES ROOST_INSTALL)
  if(${option})
    message(FATAL_ERROR "${option} is on in a project that only uses roost")
  endif()
endforeach()

add_executable(consumer main.cpp)
target_link_libraries(consumer PRIVATE roost::roost)
