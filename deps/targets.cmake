# standpipe_library(<folder> SOURCES ... DEPENDS ...): one static library per folder of src/.
function(standpipe_library name)
    cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
    add_library(standpipe_${name} STATIC ${arg_SOURCES})
    target_include_directories(standpipe_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(standpipe_${name} PUBLIC ${arg_DEPENDS})
endfunction()

# standpipe_test(<name> LABEL unit|flow SOURCES ... DEPENDS ...): one cmocka program, run by ctest.
function(standpipe_test name)
    cmake_parse_arguments(arg "" "LABEL" "SOURCES;DEPENDS" ${ARGN})
    add_executable(${name} ${arg_SOURCES})
    target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/test)
    target_link_libraries(${name} PRIVATE ${arg_DEPENDS} PkgConfig::cmocka)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES LABELS ${arg_LABEL} TIMEOUT 900) # ends what hangs; no measure of speed
endfunction()
