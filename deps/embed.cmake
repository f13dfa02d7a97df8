# standpipe_embed(<target> <file> <symbol>): the file's bytes as `const char symbol[]`, followed by a zero byte, made
# again when the file changes.
function(standpipe_embed target file symbol)
    set(out ${CMAKE_CURRENT_BINARY_DIR}/${symbol}.c)
    add_custom_command(OUTPUT ${out}
        COMMAND ${CMAKE_COMMAND} -DIN=${file} -DOUT=${out} -DSYMBOL=${symbol} -P ${CMAKE_SOURCE_DIR}/deps/embed_file.cmake
        DEPENDS ${file} ${CMAKE_SOURCE_DIR}/deps/embed_file.cmake
        VERBATIM)
    target_sources(standpipe_${target} PRIVATE ${out})
endfunction()
