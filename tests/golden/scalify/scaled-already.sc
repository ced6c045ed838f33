; run: scalify
; error: E0304
graph @g(%a: f32[4] * 2^3) -> (%y) {
  %y = relu %a : f32[4] * 2^3
}
