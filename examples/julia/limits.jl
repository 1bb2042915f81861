# Limits BLAS to one core for a while, and says what became of it on each library, and how many cores there are.
#     julia limits.jl /path/to/libthreadctl_preload.so
const threadctl = ARGS[1]
const PROCESS, THREAD = Cint(0), Cint(1)

last_error() = unsafe_string(ccall((:threadctl_last_error, threadctl), Cstring, ()))
check(status) = status == 0 || error(last_error())

function limited(work, text, scope = PROCESS)
    limit = Ref{UInt64}(0)
    check(ccall((:threadctl_limit_begin, threadctl), Cint, (Cstring, Cint, Cuint, Ref{UInt64}), text, scope, 0, limit))
    try
        work(limit[])
    finally
        check(ccall((:threadctl_limit_end, threadctl), Cint, (UInt64,), limit[]))
    end
end

function outcome(limit)
    text = Ref{Ptr{Cchar}}(C_NULL)
    check(ccall((:threadctl_limit_outcome, threadctl), Cint, (UInt64, Ref{Ptr{Cchar}}), limit, text))
    words = unsafe_string(text[])
    ccall((:threadctl_free, threadctl), Cvoid, (Ptr{Cchar},), text[])
    words
end

# Julia moves tasks between threads, so a limit of thread scope is for tasks that stay on theirs (@spawn :sticky).
limited("blas=1") do limit
    println(outcome(limit))
end

cores = Ref{UInt32}(0)
check(ccall((:threadctl_cores, threadctl), Cint, (Ref{UInt32},), cores))
println(cores[], " cores")
