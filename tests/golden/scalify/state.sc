; run: scalify
; blob w rms 0.02
graph @sum(%x: f32[2,64]) -> (%y) {
  state @acc (%past: f32[2,8] -> %next)
  %w = const @w : f32[64,8]
  %s = matmul %x, %w : f32[2,8]
  %next = add %past, %s : f32[2,8]
  %y = relu %next : f32[2,8]
}
; --- a state stays in its own numbers, so that what save writes can be read
graph @sum(%x: f32[2,64]) -> (%y) {
  state @acc (%past: f32[2,8] -> %next)
  %w = const @w : f32[64,8] * 2^-6
  %s = matmul %x, %w : f32[2,8] * 2^-6
  %6 = rebalance %s, -3 : f32[2,8] * 2^-3
  %7 = rebalance %6, 0 : f32[2,8]
  %next = add %past, %7 : f32[2,8]
  %y = relu %next : f32[2,8]
}
