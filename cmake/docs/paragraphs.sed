s/@par Thread safety +/@threadsafety /
s/@par (Errors|Suspends|Cancellation|Lifetime|Arguments) +/@\L\1 /
