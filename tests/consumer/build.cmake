# Run by ctest (see CMakeLists.txt for the variables): makes a project of FILES, the first of which
# becomes its CMakeLists.txt, and builds it.
cmake_minimum_required(VERSION 3.24)

file(REMOVE_RECURSE "${WORK_DIR}")
set(project "${WORK_DIR}/project")
list(POP_FRONT FILES cmake_file)
file(COPY ${FILES} DESTINATION "${project}")

# A README need not show what every CMake project starts with.
file(READ "${cmake_file}" content)
if(NOT content MATCHES "project *\\(")
  string(PREPEND content
    "cmake_minimum_required(VERSION 3.24)\n"
    "project(consumer CXX)\n"
    "add_executable(server server.cpp)\n")
endif()
file(WRITE "${project}/CMakeLists.txt" "${content}")

if(INSTALLED)
  execute_process(
    COMMAND "${CMAKE_COMMAND}" --install "${ROOST_BINARY_DIR}" --prefix "${WORK_DIR}/prefix"
    OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
  set(where "-DCMAKE_PREFIX_PATH=${WORK_DIR}/prefix")
else()
  set(where "-DFETCHCONTENT_SOURCE_DIR_ROOST=${ROOST_SOURCE_DIR}" -DFETCHCONTENT_FULLY_DISCONNECTED=ON)
endif()

execute_process(
  COMMAND "${CMAKE_COMMAND}" -S "${project}" -B "${WORK_DIR}/build" -G "${GENERATOR}" ${where}
    "-DCMAKE_CXX_COMPILER=${COMPILER}"
  COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${CMAKE_COMMAND}" --build "${WORK_DIR}/build" COMMAND_ERROR_IS_FATAL ANY)
