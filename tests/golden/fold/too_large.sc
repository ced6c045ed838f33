; run: fold
; idempotent
graph @g() -> (%y) {
  %c = const 0.5 : f32[]
  %d = exp %c : f32[] from "Exp"
  %y = expand %d : f32[200,200] from "Expand"
}
; --- 160 KB would come from 4 bytes: the model must not grow
graph @g() -> (%y) {
  %d = const 1.6487212 : f32[] from "Exp"
  %y = expand %d : f32[200,200] from "Expand"
}
