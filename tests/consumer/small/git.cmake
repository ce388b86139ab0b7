cmake_minimum_required(VERSION 3.24)
project(consumer CXX)

include(FetchContent)
FetchContent_Declare(roost GIT_REPOSITORY "${ROOST_REPOSITORY}" GIT_TAG main GIT_SHALLOW ON)
FetchContent_MakeAvailable(roost)

add_executable(consumer main.cpp)
target_link_libraries(consumer PRIVATE roost::roost)
