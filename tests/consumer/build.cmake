# Run by ctest (see CMakeLists.txt for the variables): makes a project of FILES, the first of which
# becomes its CMakeLists.txt, builds it, and runs the program "consumer" if that is what it makes.
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

if(FROM STREQUAL "installed")
  execute_process(
    COMMAND "${CMAKE_COMMAND}" --install "${ROOST_BINARY_DIR}" --prefix "${WORK_DIR}/prefix"
    OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
  set(where "-DCMAKE_PREFIX_PATH=${WORK_DIR}/prefix")
elseif(FROM STREQUAL "folder")
  set(where "-DFETCHCONTENT_SOURCE_DIR_ROOST=${ROOST_SOURCE_DIR}" -DFETCHCONTENT_FULLY_DISCONNECTED=ON)
elseif(FROM STREQUAL "git")
  set(repository "${WORK_DIR}/repository")
  foreach(part CMakeLists.txt cmake include)
    file(COPY "${ROOST_SOURCE_DIR}/${part}" DESTINATION "${repository}")
  endforeach()
  set(git git -C "${repository}" -c user.name=consumer -c user.email=consumer@localhost)
  foreach(step "init;-q;-b;main" "add;." "commit;-q;-m;roost")
    execute_process(COMMAND ${git} ${step} COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
  set(where "-DROOST_REPOSITORY=file://${repository}")
else()
  set(where "-DROOST_SOURCE_DIR=${ROOST_SOURCE_DIR}")
endif()

execute_process(
  COMMAND "${CMAKE_COMMAND}" -S "${project}" -B "${WORK_DIR}/build" -G "${GENERATOR}" ${where}
    "-DCMAKE_CXX_COMPILER=${COMPILER}"
  OUTPUT_VARIABLE output ECHO_OUTPUT_VARIABLE
  COMMAND_ERROR_IS_FATAL ANY)
foreach(text IN LISTS EXPECT)
  string(FIND "${output}" "${text}" found)
  if(found EQUAL -1)
    message(FATAL_ERROR "CMake did not say: ${text}")
  endif()
endforeach()
execute_process(COMMAND "${CMAKE_COMMAND}" --build "${WORK_DIR}/build" COMMAND_ERROR_IS_FATAL ANY)
if(EXISTS "${WORK_DIR}/build/consumer")
  execute_process(COMMAND "${WORK_DIR}/build/consumer" COMMAND_ERROR_IS_FATAL ANY)
endif()
